"""Two gigabytes through a worker, both ways, with flat memory: `python -m bench.flat_memory`.

Starts `gateway serve` with one worker before an origin of this process, passes bodies of the
given size in several manners, and prints by how much the worker's resident memory grew at most.
Ends with status 1 when that was more than the limit, or when a body didn't arrive whole.
"""

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import psutil

MEBIBYTE = 1 << 20
_PIECE = b"x" * (256 * 1024)
_SLOW_PART = 16
"""A slow reader takes this fraction of the size, at `_SLOW_RATE`."""
_SLOW_RATE = 64 * MEBIBYTE
"""Bytes a second."""

Act: TypeAlias = Callable[[int, int], Awaitable[None]]


async def _origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send what the path asks for, `/SIZE/FIELD-VALUE`, or take what Content-Length says."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"content-length: (\d+)", head.lower())
            if length is not None:
                missing = int(length[1])
                while missing:
                    if not (piece := await reader.read(min(missing, MEBIBYTE))):
                        return
                    missing -= len(piece)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                continue
            _, size, control = head.split(b" ", 2)[1].split(b"/")
            writer.write(
                b"HTTP/1.1 200 OK\r\nCache-Control: %b\r\nContent-Length: %d\r\n\r\n"
                % (control, int(size))
            )
            for _ in range(int(size) // len(_PIECE)):
                writer.write(_PIECE)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _download(port: int, size: int, control: bytes = b"no-store", rate: int = 0) -> None:
    """Take a response; *rate* is bytes a second, 0 as fast as they come."""
    # A small buffer, so that it is the gateway that has to wait and not our memory that fills.
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=MEBIBYTE)
    writer.write(b"GET /%d/%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % (size, control))
    await reader.readuntil(b"\r\n\r\n")
    missing = size
    while missing:
        piece = await reader.read(MEBIBYTE)
        if not piece:
            sys.exit(f"the response was truncated: {missing} bytes didn't come")
        missing -= len(piece)
        if rate:
            await asyncio.sleep(len(piece) / rate)
    writer.close()


async def _download_storable(port: int, size: int) -> None:
    # Kept until it turns out larger than the memory tier takes, and let go then.
    await _download(port, size, b"max-age=60")


async def _download_slowly(port: int, size: int) -> None:
    await _download(port, size // _SLOW_PART, rate=_SLOW_RATE)


async def _upload(port: int, size: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(size // len(_PIECE)):
        writer.write(_PIECE)
        await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 204"):
        sys.exit(f"the upload was answered {answer!r}")
    writer.close()


CASES: tuple[tuple[str, int, Act], ...] = (
    ("response", 1, _download),
    ("response that might be stored", 1, _download_storable),
    ("response to a slow reader", _SLOW_PART, _download_slowly),
    ("request body", 1, _upload),
)
"""What it is, which fraction of the size it passes, and how."""


@asynccontextmanager
async def _gateway(origin_port: int) -> AsyncIterator[tuple[int, psutil.Process]]:
    """Run it; yield its port and its worker."""
    with tempfile.TemporaryDirectory() as directory:
        rules = Path(directory) / "rules.yaml"
        rules.write_text("version: 1\n")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve", "--rules", str(rules), "--workers", "1"),
            *("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state-dir", directory),
            *("--origin", f"http://127.0.0.1:{origin_port}"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            ready = await process.stdout.readline()
            found = re.search(rb"ready on http://[^:]+:(\d+)", ready)
            if found is None:
                sys.exit(f"the gateway said {ready!r}")
            yield int(found[1]), psutil.Process(process.pid).children()[-1]
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _peak(worker: psutil.Process) -> int | None:
    """Return the bytes resident at most since `_forget_peak`; None where Linux doesn't tell."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker.pid}/status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _forget_peak(worker: psutil.Process) -> bool:
    """Let the kernel begin anew (proc(5), clear_refs); False where it can't."""
    try:
        Path(f"/proc/{worker.pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


async def _grown(worker: psutil.Process, task: asyncio.Task[None]) -> int:
    """Return by how many bytes *worker* grew at most until *task* was done."""
    exact = _forget_peak(worker)
    before = peak = worker.memory_info().rss
    while not task.done():
        await asyncio.wait([task], timeout=0.02)
        peak = max(peak, worker.memory_info().rss)
    task.result()
    return max(peak, (_peak(worker) or 0) if exact else 0) - before


async def measure(size: int, limit: int) -> int:
    """Pass *size* bytes in each manner; return the exit status."""
    origin = await asyncio.start_server(_origin, "127.0.0.1", 0, limit=MEBIBYTE)
    worst = 0
    async with _gateway(origin.sockets[0].getsockname()[1]) as (port, worker):
        await _download(port, MEBIBYTE)
        await _upload(port, MEBIBYTE)
        for what, fraction, act in CASES:
            begun = time.monotonic()
            grown = await _grown(worker, asyncio.ensure_future(act(port, size)))
            took = time.monotonic() - begun
            worst = max(worst, grown)
            print(
                f"{what}: {size // fraction / MEBIBYTE:,.0f} MiB in {took:.1f} s, "
                f"the worker grew by {grown / MEBIBYTE:.1f} MiB at most",
                flush=True,
            )
    origin.close()
    if worst > limit:
        print(f"that is more than {limit / MEBIBYTE:.0f} MiB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mebibytes", type=int, default=2048, help="default: 2048")
    parser.add_argument(
        "--limit-mebibytes", type=int, default=32, help="growth that is a failure (default: 32)"
    )
    args = parser.parse_args()
    sys.exit(asyncio.run(measure(args.mebibytes * MEBIBYTE, args.limit_mebibytes * MEBIBYTE)))
