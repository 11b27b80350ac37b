"""The servers that are measured: how each is started, asked, and stopped.

Every server runs on one core with one worker, with its configuration from `bench/peers/`
and a folder of its own that is removed at the end. Whatever happens, `started` leaves no
process behind.
"""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.cases import Case

TEMPLATES = Path(__file__).parent / "peers"
ROOT = Path(__file__).parent.parent
START_SECONDS = 20.0
STOP_SECONDS = 5.0
GATEWAY = "gateway"


class DidNotStart(Exception):
    """A server that is installed, and didn't come up."""


class WrongAnswer(Exception):
    """A server answered something else than the case needs."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is to run; fills the @WORDS@ of its template."""

    folder: Path
    port: int
    second_port: int
    """For what a server needs besides: the gateway's admin side, HAProxy's second section."""
    origin_port: int

    def fill(self, template: str) -> Path:
        """Write the configuration made from *template* into the folder."""
        text = TEMPLATES.joinpath(template).read_text()
        for word, value in (
            ("@DIR@", self.folder),
            ("@PORT@", self.port),
            ("@SECOND_PORT@", self.second_port),
            ("@ORIGIN_PORT@", self.origin_port),
        ):
            text = text.replace(word, str(value))
        file = self.folder / template
        file.write_text(text)
        return file


@dataclass(frozen=True, slots=True)
class Server:
    """One that can be measured."""

    name: str
    program: str
    """The executable; looked up on the path, and in the sbin folders, which may not be on it."""
    version: Sequence[str]
    """Arguments that make it print its version."""
    command: Callable[[Place], list[str]]
    """Its arguments, after writing whatever files it needs."""
    conditional_apart: bool = False
    """Conditional requests go to the second port."""

    def find(self) -> str | None:
        """Return the executable; None when it isn't installed."""
        path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
        return shutil.which(self.program, path=path)

    def read_version(self) -> str | None:
        """Return the first line about its version; None when it isn't installed."""
        program = self.find()
        if program is None:
            return None
        done = subprocess.run([program, *self.version], capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).strip().splitlines()
        return said[0] if said else "unknown"


def _gateway(place: Place) -> list[str]:
    return [
        "-m",
        "gateway",
        "serve",
        "--rules",
        str(place.fill("gateway.yaml")),
        "--listen",
        f"127.0.0.1:{place.port}",
        "--admin",
        f"127.0.0.1:{place.second_port}",
        "--workers",
        "1",
        "--origin",
        f"http://127.0.0.1:{place.origin_port}",
    ]


def _nginx(place: Place) -> list[str]:
    return ["-p", str(place.folder), "-c", str(place.fill("nginx.conf")), "-e", "stderr"]


def _haproxy(place: Place) -> list[str]:
    return ["-db", "-f", str(place.fill("haproxy.cfg"))]


# Records that a request would write to the shared log, which nobody reads here. There is
# no word for all of them. It makes Varnish a fifth faster on 1 KB hits.
_VSL_MASK = (
    "-Begin,-Link,-End,-ReqMethod,-ReqURL,-ReqProtocol,-ReqHeader,-ReqUnset,-ReqStart,-ReqAcct,"
    "-RespProtocol,-RespStatus,-RespReason,-RespHeader,-RespUnset,-VCL_call,-VCL_return,-VCL_use,"
    "-Hit,-HitMiss,-Timestamp,-Length,-Filters,-BereqMethod,-BereqURL,-BereqProtocol,"
    "-BereqHeader,-BereqUnset,-BereqAcct,-BerespProtocol,-BerespStatus,-BerespReason,"
    "-BerespHeader,-BerespUnset,-BackendOpen,-BackendReuse,-BackendClose,-BackendStart,"
    "-Fetch_Body,-Storage,-TTL"
)


def _varnish(place: Place) -> list[str]:
    arguments = ["-F", "-j", "none", "-n", str(place.folder / "varnish")]
    arguments += ["-a", f"127.0.0.1:{place.port}", "-f", str(place.fill("varnish.vcl"))]
    arguments += ["-s", "malloc,1g"]
    # One pool, since there is one core; threads enough for every connection from the start.
    for parameter in (
        "thread_pools=1",
        "thread_pool_min=200",
        "thread_pool_max=1000",
        "http_gzip_support=off",
        f"vsl_mask={_VSL_MASK}",
    ):
        arguments += ["-p", parameter]
    return arguments


SERVERS = (
    Server(
        GATEWAY,
        sys.executable,
        ("-c", "from importlib.metadata import version as v; print('gateway', v('hub-gateway'))"),
        _gateway,
    ),
    Server("nginx", "nginx", ("-v",), _nginx),
    Server("haproxy", "haproxy", ("-v",), _haproxy, conditional_apart=True),
    Server("varnish", "varnishd", ("-V",), _varnish),
)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, target: str, fields: Sequence[tuple[str, str]] = ()) -> tuple[int, bytes]:
    """Return the status and body of one GET; OSError or HTTPException when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", target, headers=dict(fields))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def count(origin_port: int) -> int:
    """Return how many requests the origin has heard."""
    return int(ask(origin_port, "/count")[1])


def verify(case: Case, port: int, origin_port: int) -> None:
    """Ask twice; WrongAnswer unless both are right and the second comes whence it should."""
    fields = (*case.fields, ("Accept", "*/*"))
    ask(port, case.target)  # without conditions, so that there is something to hit
    heard = 0
    for _ in range(2):
        before = count(origin_port)
        status, body = ask(port, case.target, fields)
        heard = count(origin_port) - before
        if status != case.status:
            raise WrongAnswer(f"GET {case.target} was answered {status}, not {case.status}")
        if len(body) != case.body_bytes:
            raise WrongAnswer(f"GET {case.target} brought {len(body)} bytes, not {case.body_bytes}")
    if heard != (case.path != "hit"):
        raise WrongAnswer(f"the second GET {case.target} reached the origin {heard} times")


@dataclass(frozen=True, slots=True)
class Running:
    """A process that was started, in a session of its own."""

    process: subprocess.Popen[bytes]
    port: int
    conditional_port: int

    def port_for(self, case: Case) -> int:
        """Return where the requests of *case* go."""
        return self.conditional_port if case.status == 304 else self.port

    def cpu_seconds(self) -> float:
        """Return what all its processes have used."""
        return sum(member.cpu_seconds for member in family(self.process.pid))


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a server, as it was when looked at."""

    pid: int
    parent: int
    begun: int
    """When it began, in ticks since boot; with the pid it names one process for ever."""
    cpu_seconds: float


def processes() -> list[Member]:
    """Return all that run on this machine."""
    tick = os.sysconf("SC_CLK_TCK")
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with suppress(OSError):
            # The name in parentheses may hold spaces; what follows it may not.
            values = (entry / "stat").read_text().rpartition(")")[2].split()
            if values[0] != "Z":
                used = (int(values[11]) + int(values[12])) / tick
                found.append(Member(int(entry.name), int(values[1]), int(values[19]), used))
    return found


def family(ancestor: int) -> list[Member]:
    """Return the process *ancestor* and all that descend from it.

    By parents, not by session: a supervisor may give its workers sessions of their own.
    """
    everyone = processes()
    found = [member for member in everyone if member.pid == ancestor]
    for elder in found:  # grows while we walk
        found += [member for member in everyone if member.parent == elder.pid]
    return found


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started; asked first, then made to."""
    members = family(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    alive = {(member.pid, member.begun) for member in processes()}
    for member in members:
        if (member.pid, member.begun) in alive:
            with suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def started(command: Sequence[str], *, core: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command* on one core until the block is left; what it says goes to *log*."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            # Ctrl-C at the terminal is for us; we then stop what we started.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)


@contextmanager
def origin(*, core: int, folder: Path) -> Iterator[Running]:
    """Run the origin until the block is left."""
    log = folder / "origin.log"
    with started([sys.executable, "-m", "bench.origin"], core=core, log=log) as process:
        wait_until(process, log, lambda: log.read_text().strip().isdecimal())
        port = int(log.read_text())
        yield Running(process, port, port)


@contextmanager
def serving(server: Server, *, origin_port: int, core: int, folder: Path) -> Iterator[Running]:
    """Run *server* until the block is left; DidNotStart with its last words."""
    program = server.find()
    if program is None:
        raise DidNotStart(f"{server.program} is not installed")
    folder.mkdir()
    place = Place(folder, free_port(), free_port(), origin_port)
    command = [program, *server.command(place)]
    log = folder / "said.log"
    with started(command, core=core, log=log) as process:
        wait_until(process, log, lambda: ask(place.port, "/1k")[0] == 200)
        second = place.second_port if server.conditional_apart else place.port
        yield Running(process, place.port, second)


def wait_until(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    """Poll *ready* until it is true; DidNotStart when the process ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if ready():
                return
        status = process.poll()
        if status is not None:
            raise DidNotStart(f"ended with status {status}: {_last_words(log)}")
        time.sleep(0.05)
    raise DidNotStart(f"no right answer within {START_SECONDS:.0f} s: {_last_words(log)}")


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
