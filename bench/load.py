"""Runs wrk and reads what it says.

wrk's own output is for people; `lua/report.lua` makes it print one line for us. It is not
infinitely fast: on one core of the machine where this was written it took 165,000 answers
of 1 KB a second from the bare origin. Near that it is wrk that is measured, and requests
for each second of the server's CPU say more.
"""

import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.cases import Case

CONNECTIONS = 64
LUA = Path(__file__).parent / "lua"
MARK = "measured "


class LoadFailed(Exception):
    """wrk is missing, couldn't connect, or said something that isn't understood."""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw in one run."""

    requests: int
    seconds: float
    received_bytes: int
    """Heads and bodies of all responses."""
    p50_ms: float
    p99_ms: float
    socket_errors: int
    """Connections refused or broken, and time-outs of 2 s."""
    bad_statuses: int
    """Responses of 400 and above."""
    wrk_cpu: float = 0.0
    """How busy wrk was, 0 to 1; near 1 it measured itself."""

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds


def parse(output: str, *, wrk_cpu: float = 0.0) -> Load:
    """Read the line that lua/report.lua prints; LoadFailed when it isn't there."""
    for line in output.splitlines():
        if line.startswith(MARK):
            break
    else:
        raise LoadFailed(f"wrk printed no result: {output.strip() or 'nothing at all'}")
    values = {name: int(value) for name, value in (item.split("=") for item in line.split()[1:])}
    return Load(
        requests=values["requests"],
        seconds=values["microseconds"] / 1e6,
        received_bytes=values["bytes"],
        p50_ms=values["p50"] / 1e3,
        p99_ms=values["p99"] / 1e3,
        socket_errors=sum(values[name] for name in ("connect", "read", "write", "timeout")),
        bad_statuses=values["status"],
        wrk_cpu=wrk_cpu,
    )


def run(case: Case, port: int, *, seconds: int, core: int, script: str | None) -> Load:
    """Load the server on *port* with what *script* asks for; None repeats the case's request."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise LoadFailed("wrk is not installed; Debian has it: apt-get install wrk")
    lua = LUA.joinpath(script).read_text() if script else ""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(lua + LUA.joinpath("report.lua").read_text())
        file.flush()
        command = ["taskset", "-c", str(core), wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
        for name, value in case.fields:
            command += ["-H", f"{name}: {value}"]
        # The last argument reaches the script: a word that no other run has.
        target = f"http://127.0.0.1:{port}{case.target}"
        command += ["-s", file.name, target, "--", f"{time.time_ns():x}"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 30, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise LoadFailed((done.stderr or done.stdout).strip())
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return parse(done.stdout, wrk_cpu=busy / seconds)
