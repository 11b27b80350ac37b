"""What a change of the rules costs those who are being served: `python -m bench.reload`.

A steady stream of hits, sent by the clock and not when the last answer came, so that a pause
shows in every request that it delays. Meanwhile the rules file is changed, and broken, some
times. Requests that began within two seconds after a change stand beside all others.
"""

import argparse
import asyncio
import re
import sys
import time
from asyncio.subprocess import Process
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from tests.doubles.origin import ScriptedOrigin, ok

_CONNECTIONS = 64
_BEAT_SECONDS = 0.004
_AROUND_SECONDS = 2.0
_URLS = 200
_BODY = b"x" * 2000


@dataclass(slots=True)
class Asked:
    """What became of all requests."""

    latencies: list[tuple[float, float]] = field(default_factory=list)
    """When each was due, and how long it took from then on; seconds."""
    failures: int = 0
    """Requests without a good answer."""
    late: int = 0
    """Requests that couldn't be sent when they were due: no connection was free."""


def rules(ttl: int, routes: int) -> str:
    """Return rules with *routes* routes, of which the first takes what is asked for."""
    lines = [
        "version: 1",
        "routes:",
        f"  - {{name: pages, match: {{path: /pages/*}}, cache: {{ttl: {ttl}s, scope: public}}}}",
    ]
    lines += [
        f"  - {{name: r{number}, match: {{path: /r{number}/*}}, cache: {{ttl: 60s}}}}"
        for number in range(routes - 1)
    ]
    return "\n".join(lines) + "\n"


class Client(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, asked: Asked, idle: list["Client"]) -> None:
        self._asked = asked
        self._idle = idle
        self._due = 0.0
        self._missing = 0
        self._head = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        self._transport = transport  # type: ignore[assignment] # uvloop's own
        self._idle.append(self)

    def ask(self, due: float, head: bytes) -> None:
        """Send a request that was due at *due*."""
        self._due = due
        self._head = b""
        self._missing = -1
        assert self._transport is not None
        self._transport.write(head)

    def data_received(self, data: bytes) -> None:
        """Take some of the answer."""
        if self._missing < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            length = re.search(rb"\r\nContent-Length: (\d+)", self._head[:end])
            good = self._head.startswith(b"HTTP/1.1 200") and length is not None
            if not good or length is None:
                self._asked.failures += 1
                return
            self._missing = int(length[1]) - (len(self._head) - end - 4)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._asked.latencies.append((self._due, time.monotonic() - self._due))
            self._missing = -1
            self._idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Count a request that was under way."""
        if self in self._idle:
            self._idle.remove(self)
        else:
            self._asked.failures += 1


async def _stream(address: tuple[str, int], rate: int, seconds: float, asked: Asked) -> None:
    loop = asyncio.get_running_loop()
    idle: list[Client] = []
    for _ in range(_CONNECTIONS):
        await loop.create_connection(lambda: Client(asked, idle), *address)
    heads = [
        f"GET /pages/{number} HTTP/1.1\r\nHost: hub.test\r\n\r\n".encode()
        for number in range(_URLS)
    ]
    began = time.monotonic()
    sent = 0
    while (elapsed := time.monotonic() - began) < seconds:
        due = int(elapsed * rate)
        while sent < due and idle:
            idle.pop(0).ask(began + sent / rate, heads[sent % _URLS])
            sent += 1
        asked.late += max(0, due - sent) > 0
        await asyncio.sleep(_BEAT_SECONDS)
    await asyncio.sleep(1.0)
    asked.failures += max(0, sent - len(asked.latencies) - asked.failures)


def _told(name: str, latencies: list[float]) -> str:
    latencies.sort()
    if not latencies:
        return f"  {name:24} none"
    shown = [latencies[int(share * (len(latencies) - 1))] * 1000 for share in (0.5, 0.99, 0.999, 1)]
    figures = "  ".join(f"{value:8.2f}" for value in shown)
    return f"  {name:24} {len(latencies):9}  {figures}"


async def measure(rate: int, seconds: float, workers: int, routes: int) -> int:
    """Measure and print; return 1 when a request was lost."""
    origin = ScriptedOrigin({"*": [ok(_BODY)]})
    async with origin:
        with TemporaryDirectory(prefix="gateway-bench-") as folder:
            file = Path(folder) / "rules.yaml"
            file.write_text(rules(3600, routes))
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "serve", "--rules", str(file)),
                *("--origin", origin.url, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
                *("--workers", str(workers), "--state-dir", str(Path(folder) / "state")),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                return await _measured(process, file, rate, seconds, routes)
            finally:
                process.terminate()
                await process.wait()


async def _measured(process: Process, file: Path, rate: int, seconds: float, routes: int) -> int:
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    address = ("127.0.0.1", int(re.findall(r"127\.0\.0\.1:(\d+)", line)[0]))
    await _stream(address, 2000, 2.0, Asked())
    asked = Asked()
    stream = asyncio.create_task(_stream(address, rate, seconds, asked))
    changes: list[float] = []
    broken: list[float] = []
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end - 4:
        await asyncio.sleep(4)
        number += 1
        if number % 3:
            changes.append(time.monotonic())
            await asyncio.to_thread(file.write_text, rules(3600 + number, routes))
        else:
            broken.append(time.monotonic())
            await asyncio.to_thread(file.write_text, rules(3600, routes) + "nonsense: 1\n")
    await stream

    def near(due: float, moments: list[float]) -> bool:
        return any(0 <= due - moment < _AROUND_SECONDS for moment in moments)

    calm = [took for due, took in asked.latencies if not near(due, changes + broken)]
    print(f"{rate} requests a second for {seconds:.0f} s, {routes} routes; milliseconds from when "
          "each was due")  # fmt: skip
    print(f"  {'':24} {'requests':>9}  {'p50':>8}  {'p99':>8}  {'p99.9':>8}  {'most':>8}")
    print(_told("otherwise", calm))
    changed = [took for due, took in asked.latencies if near(due, changes)]
    refused = [took for due, took in asked.latencies if near(due, broken)]
    print(_told(f"after {len(changes)} changes", changed))
    print(_told(f"after {len(broken)} broken files", refused))
    print(f"  lost: {asked.failures}; beats without a free connection: {asked.late}")
    return 1 if asked.failures else 0


def main() -> int:
    """Measure; return 1 when a request was lost."""
    parser = argparse.ArgumentParser(prog="python -m bench.reload", description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000, help="requests a second")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--routes", type=int, default=40, help="of the rules")
    options = parser.parse_args()
    return uvloop.run(measure(options.rate, options.seconds, options.workers, options.routes))


if __name__ == "__main__":
    sys.exit(main())
