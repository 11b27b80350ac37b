"""Runs a script with k9 or k6 and reads its samples through a pipe, so that none are stored."""

import fcntl
import importlib.metadata
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loadtest.collect import Collection
from loadtest.place import ROOT, STATE
from loadtest.record import RunError

_PIPE_BYTES = 1024 * 1024
_TICK = 0.2
"""Seconds between two looks at whether the tool still runs."""
_SCRIPTS = {
    "k9": {"dashboard": "loadtest/dashboard.py", "api_stress": "loadtest/api_stress.py"},
    "k6": {"dashboard": "loadtest/k6/dashboard.js", "api_stress": "loadtest/k6/api-stress.js"},
}
K6_PLACE = STATE.parent / "bin" / "k6"
"""Where `make k6` builds it."""


def version(tool: str) -> str:
    """Return the name of *tool* and its version, or raise RunError when it isn't here."""
    if tool == "k9":
        return f"k9 {importlib.metadata.version('k9-load')}"
    said = subprocess.run([_k6(), "version"], capture_output=True, text=True, check=True).stdout
    return " ".join(said.split()[:2]).replace(" v", " ")


def _k6() -> str:
    found = str(K6_PLACE) if K6_PLACE.exists() else shutil.which("k6")
    if found is None:
        raise RunError("k6 is not here: `make k6` builds it with Go, or put a k6 on the PATH")
    return found


def run(
    tool: str,
    test: str,
    variables: dict[str, str],
    collection: Collection,
    tick: Callable[[], None],
) -> dict[str, Any]:
    """Run *test* to its end, feeding *collection*; return the summary in k6's form.

    *tick* is called a few times a second. RunError with the tool's own words when it fails;
    crossed thresholds are no failure.
    """
    with tempfile.TemporaryDirectory(prefix="loadtest-") as folder:
        pipe = Path(folder) / "samples"
        os.mkfifo(pipe)
        script = _SCRIPTS[tool][test]
        program = [sys.executable, "-m", "k9"] if tool == "k9" else [_k6()]
        command = [*program, "run", "--quiet", "--no-color", "--out", f"json={pipe}"]
        for name, value in variables.items():
            command += ["-e", f"{name}={value}"]
        output = Path(variables["OUT"]) / f"{test}-{tool}.txt"
        with output.open("w") as log:
            process = subprocess.Popen(
                [*command, script],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "K6_NO_USAGE_REPORT": "true"},
            )
            try:
                _read(pipe, process, collection, tick)
            except BaseException:
                process.terminate()
                process.wait()
                raise
    summary = Path(variables["OUT"]) / f"{test}-summary.json"
    # 99 is what both end with when a threshold is crossed.
    if process.returncode not in {0, 99} or not summary.exists():
        raise RunError(f"{tool} ended with status {process.returncode}:\n{_tail(output)}")
    read: dict[str, Any] = json.loads(summary.read_text())
    return read


def _tail(file: Path, lines: int = 25) -> str:
    return "\n".join(file.read_text(errors="replace").strip().splitlines()[-lines:])


def _read(
    pipe: Path,
    process: subprocess.Popen[bytes],
    collection: Collection,
    tick: Callable[[], None],
) -> None:
    # Not blocking: a tool that fails early never opens its end, and we would wait for ever.
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    rest = b""
    try:
        while True:
            ended = process.poll() is not None
            # Before the tool opens its end the pipe reads as ended at once, so wait by the clock.
            select.select([descriptor], [], [], _TICK)
            try:
                data = os.read(descriptor, _PIPE_BYTES)
            except BlockingIOError:
                data = b""
            if data:
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    collection.feed(line)
            elif ended:
                return
            else:
                select.select([], [], [], _TICK / 4)
            tick()
    finally:
        os.close(descriptor)
