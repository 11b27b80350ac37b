"""What idle connections cost, and whether a gateway that holds very many still serves.

    python -m bench.idle_connections [--connections 10000] [--workers 1]

Opens the connections from many loopback addresses (one has only some 28,000 ports to offer),
each with one request answered, and prints what the workers' memory grew by and how fast a
further client is answered. 100,000 connections need as many descriptors on both sides: the
clients are spread over processes, and each worker has to stay below `ulimit -n`.
"""

import argparse
import asyncio
import contextlib
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

_REQUEST = b"GET /idle HTTP/1.1\r\nHost: bench.test\r\n\r\n"
_RULES = """\
version: 1
limits: {idle_timeout: 10m}
routes:
  - {match: {path: /*}, respond: {body: "here"}}
"""
_PER_ADDRESS = 15_000
"""...and for each process of clients: 20,000 descriptors are a common limit."""
_AT_ONCE = 200


async def hold(port: int, count: int, first: int) -> None:
    """Open *count* connections from 127.0.*first*.1 on, say so, and hold them until stdin ends."""
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(_AT_ONCE)
    held: list[asyncio.Transport] = []

    class Idle(asyncio.Protocol):
        def __init__(self) -> None:
            self.answered = loop.create_future()

        def data_received(self, data: bytes) -> None:  # noqa: ARG002
            if not self.answered.done():
                self.answered.set_result(None)

        def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
            if not self.answered.done():
                self.answered.set_exception(ConnectionError("closed before it was answered"))

    async def one(number: int) -> None:
        async with gate:
            source = (f"127.0.{first + number // _PER_ADDRESS}.1", 0)
            transport, idle = await loop.create_connection(
                Idle, "127.0.0.1", port, local_addr=source
            )
            transport.write(_REQUEST)
            await idle.answered
            held.append(transport)

    await asyncio.gather(*(one(number) for number in range(count)))
    print(len(held), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def resident(pid: int) -> int:
    """Return the bytes that the workers below the process *pid* hold in memory."""
    return sum(each.memory_info().rss for each in psutil.Process(pid).children(recursive=True))


def measure(connections: int, workers: int) -> None:
    """Start a gateway, open *connections* and print what they cost."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ends:
        rules = Path(folder) / "rules.yaml"
        rules.write_text(_RULES)
        gateway = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--rules", str(rules), "--state-dir",
             folder, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--origin",
             "http://127.0.0.1:1", "--workers", str(workers)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        ends.callback(gateway.wait)
        ends.callback(gateway.terminate)
        assert gateway.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", gateway.stdout.readline())
        assert found is not None
        port = int(found[1])
        asyncio.run(_answered_in(port))
        before = resident(gateway.pid)
        began = time.perf_counter()
        parts = [
            min(_PER_ADDRESS, connections - done) for done in range(0, connections, _PER_ADDRESS)
        ]
        holders = [
            subprocess.Popen(
                [sys.executable, "-m", "bench.idle_connections", "--hold", str(part),
                 "--port", str(port), "--first", str(1 + number)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for number, part in enumerate(parts)
        ]  # fmt: skip
        for holder in holders:
            assert holder.stdout is not None
            ends.callback(holder.wait)
            ends.callback(holder.terminate)
            if not holder.stdout.readline().strip():
                raise SystemExit("a client could not open all of its connections")
        opened = time.perf_counter() - began
        grown = resident(gateway.pid) - before
        answered = asyncio.run(_answered_in(port))
        print(
            f"{connections} idle connections over {workers} worker(s): {grown / 2**20:.1f} MiB, "
            f"{grown / connections:.0f} bytes each; opened in {opened:.1f} s; a further "
            f"client is answered in {answered * 1000:.1f} ms"
        )


async def _answered_in(port: int) -> float:
    """Return the seconds from a new connection to its answer."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_REQUEST)
    await reader.readuntil(b"here")
    writer.close()
    return time.perf_counter() - began


def main() -> None:
    """Measure, or be one of the clients."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--hold", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=1, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if flags.hold is None:
        measure(flags.connections, flags.workers)
    else:
        asyncio.run(hold(flags.port, flags.hold, flags.first))


if __name__ == "__main__":
    main()
