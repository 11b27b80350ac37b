"""Two gigabytes through a worker, both ways, with flat memory: `python -m bench.flat_memory`.

Starts `gateway serve` with one worker before an origin of this process, passes a response and
a request body of the given size, and prints by how much the worker's resident memory grew.
"""

import argparse
import asyncio
import re
import sys
import tempfile
import time
from pathlib import Path

import psutil

MEBIBYTE = 1 << 20
_PIECE = b"x" * (256 * 1024)


async def _origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send or take as much as the request's path or Content-Length says."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"content-length: (\d+)", head.lower())
            if length is not None:
                missing = int(length[1])
                while missing:
                    missing -= len(await reader.read(min(missing, MEBIBYTE)))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                continue
            size = int(head.split(b" ", 2)[1][1:])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // len(_PIECE)):
                writer.write(_PIECE)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _download(port: int, size: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % size)
    await reader.readuntil(b"\r\n\r\n")
    missing = size
    while missing:
        piece = await reader.read(MEBIBYTE)
        if not piece:
            sys.exit("the response was truncated")
        missing -= len(piece)
    writer.close()


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


async def _measure(size: int) -> None:
    origin = await asyncio.start_server(_origin, "127.0.0.1", 0, limit=MEBIBYTE)
    origin_port = origin.sockets[0].getsockname()[1]
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
        ready = await process.stdout.readline()
        found = re.search(rb"ready on http://[^:]+:(\d+)", ready)
        if found is None:
            sys.exit(f"the gateway said {ready!r}")
        port = int(found[1])
        worker = psutil.Process(process.pid).children()[-1]
        await _download(port, MEBIBYTE)
        for what, act in (("response", _download), ("request body", _upload)):
            before = worker.memory_info().rss
            peak = before
            begun = time.monotonic()
            task = asyncio.ensure_future(act(port, size))
            while not task.done():
                await asyncio.wait([task], timeout=0.02)
                peak = max(peak, worker.memory_info().rss)
            task.result()
            took = time.monotonic() - begun
            print(
                f"{what} of {size / MEBIBYTE:,.0f} MiB in {took:.1f} s: the worker grew by "
                f"{(peak - before) / MEBIBYTE:.1f} MiB at most, from {before / MEBIBYTE:.1f} MiB"
            )
        process.terminate()
        await process.wait()
    origin.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mebibytes", type=int, default=2048, help="default: 2048")
    asyncio.run(_measure(parser.parse_args().mebibytes * MEBIBYTE))
