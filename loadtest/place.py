"""What a load test is pointed at: addresses that exist, or the hub and gateway started for it.

What is started is what `make run` starts, in a folder of its own under `.state`, on ports that
the system chooses.
"""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from loadtest.record import RunError

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".state" / "loadtest"
_START_LIMIT = 240.0
"""Seconds for a first start, which creates and fills the database on a busy machine."""
_END_LIMIT = 90.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is."""

    base: str
    """The gateway, such as http://127.0.0.1:8080."""
    admin: str | None
    """The gateway's admin port; None when it can't be read from here."""
    hub: str | None
    """The hub itself, for its metrics only."""
    gateway: psutil.Process | None = None
    """The gateway's supervisor; None when it isn't ours."""


@contextmanager
def started(workers: int, state: Path = STATE, rules: Path | None = None) -> Iterator[Place]:
    """Start the hub and the gateway with *workers*, and end them.

    None as *rules* takes the project's own. RunError when they don't come up.
    """
    state.mkdir(parents=True, exist_ok=True)
    any_port = "127.0.0.1:0"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "deploy.local", "--state-dir", str(state.absolute() / "hub")),
            *("--gateway-listen", any_port, "--gateway-admin", any_port),
            *("--hub-listen", any_port, "--workers", str(workers)),
            *(("--rules", str(rules)) if rules else ()),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield _place(process, _read_guide(process))
    finally:
        process.terminate()
        try:
            process.wait(_END_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _read_guide(process: subprocess.Popen[str]) -> str:
    """Return what it prints until it is ready; what comes later is read and thrown away."""
    stream = process.stdout
    assert stream is not None
    lines: list[str] = []
    ready = threading.Event()

    def read() -> None:
        for line in stream:
            if not ready.is_set():
                lines.append(line)
                if line.startswith("Ctrl-C ends everything"):
                    ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    until = time.monotonic() + _START_LIMIT
    ready.wait(max(0.0, until - time.monotonic()))
    text = "".join(lines)
    if "Ctrl-C ends everything" not in text:
        process.kill()
        raise RunError(f"the hub and the gateway didn't start:\n{text.strip()}")
    return text


def _place(process: subprocess.Popen[str], guide: str) -> Place:
    addresses = dict(
        re.findall(r"^  (gateway|admin|hub)\s+(http://[\d.]+:\d+)", guide, re.MULTILINE)
    )
    gateway = next(
        (
            child
            for child in psutil.Process(process.pid).children()
            if child.cmdline()[1:4] == ["-m", "gateway", "serve"]
        ),
        None,
    )
    return Place(addresses["gateway"], addresses["admin"], addresses["hub"], gateway)
