"""The origin of all measurements: prepared answers, as fast as uvloop writes them.

It runs as its own process (`python -m bench.origin`), prints the port that it listens on,
and counts what it is asked, so that a hit can be proved: `/count` tells the number of
requests so far, itself not counted. It reads what a proxy sends, whole heads without
bodies, and nothing else.
"""

import asyncio
from typing import cast

import uvloop

SIZES = {b"/1k": 1024, b"/10k": 10 * 1024, b"/100k": 100 * 1024, b"/pass": 1024}
ZIPF = b"/zipf/"
END = b"\r\n\r\n"
ETAG = '"bench"'
"""The validator of every answer that may be stored."""


def answer(body: bytes, cache_control: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a whole response."""
    etag = b"" if cache_control == b"no-store" else b"ETag: %b\r\n" % ETAG.encode()
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/octet-stream\r\n%b"
        b"Cache-Control: %b\r\nContent-Length: %d\r\n\r\n%b"
        % (status, etag, cache_control, len(body), body)
    )


ANSWERS = {
    path: answer(b"x" * size, b"no-store" if path == b"/pass" else b"max-age=3600")
    for path, size in SIZES.items()
}
ZIPF_ANSWER = answer(b"z" * 1024, b"max-age=3600")
NOT_FOUND = answer(b"", b"no-store", b"404 Not Found")


class Origin(asyncio.Protocol):
    """One connection; heads may arrive in pieces or several at once."""

    asked = 0
    """Requests so far, over all connections."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
        *heads, self.rest = data.split(END)
        for head in heads:
            self.transport.write(self.answer(head[4 : head.index(b" ", 4)]))

    def answer(self, path: bytes) -> bytes:
        if path == b"/count":
            return answer(b"%d" % Origin.asked, b"no-store")
        Origin.asked += 1
        found = ANSWERS.get(path)
        if found is None:
            found = ZIPF_ANSWER if path.startswith(ZIPF) else NOT_FOUND
        return found


async def serve() -> None:
    """Listen on a free port and print it."""
    server = await asyncio.get_running_loop().create_server(Origin, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
