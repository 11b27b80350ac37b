"""A client that sends the very bytes it is given and reads what comes back, strictly."""

import asyncio
import socket
import struct
from dataclasses import dataclass, field

from tests.doubles.origin import PATIENCE


@dataclass(slots=True)
class Reply:
    """One response as it arrived."""

    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interim: list["Reply"] = field(default_factory=list)
    """The 1xx responses before it."""

    def get(self, name: str) -> str | None:
        """Return the values under *name*, joined; None when there are none."""
        values = [value for known, value in self.fields if known.lower() == name.lower()]
        return ", ".join(values) if values else None

    @property
    def word(self) -> str | None:
        """What X-Cache says."""
        return self.get("x-cache")


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, address: tuple[str, int]) -> "RawClient":
        async with asyncio.timeout(PATIENCE):
            return cls(*await asyncio.open_connection(*address))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    async def ask(self, target: str, method: str = "GET", **fields: str) -> None:
        """Send a request without a body; ``if_none_match='"a"'`` and so on."""
        fields.setdefault("host", "hub.test")
        lines = [f"{name.replace('_', '-').title()}: {value}" for name, value in fields.items()]
        await self.send("\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode())

    async def get(self, target: str, method: str = "GET", **fields: str) -> Reply:
        await self.ask(target, method, **fields)
        return await self.reply(method)

    async def head(self) -> Reply:
        """Return the next response head, 1xx or final."""
        async with asyncio.timeout(PATIENCE):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw[:-4].decode("latin-1").split("\r\n")
        version, status, reason = first.split(" ", 2)
        assert version == "HTTP/1.1", raw
        return Reply(int(status), reason, [_field(each) for each in lines])

    async def reply(self, method: str = "GET") -> Reply:
        """Return the next final response, complete."""
        interim = []
        reply = await self.head()
        while 100 <= reply.status < 200 and reply.status != 101:
            interim.append(reply)
            reply = await self.head()
        reply.interim = interim
        async with asyncio.timeout(PATIENCE):
            await self._read_body(reply, method)
        return reply

    async def _read_body(self, reply: Reply, method: str) -> None:
        if method == "HEAD" or reply.status in (101, 204, 304):
            return
        length = reply.get("content-length")
        if reply.get("transfer-encoding") == "chunked":
            assert length is None
            while True:
                piece = await self.chunk()
                if not piece:
                    break
                reply.body += piece
            while line := (await self.reader.readuntil(b"\r\n"))[:-2]:
                reply.trailers.append(_field(line.decode("latin-1")))
        elif length is not None:
            reply.body = await self.reader.readexactly(int(length))
        else:
            reply.body = await self.reader.read()

    async def chunk(self) -> bytes:
        """Return the next chunk; empty for the last."""
        async with asyncio.timeout(PATIENCE):
            size = int((await self.reader.readuntil(b"\r\n"))[:-2], 16)
            if not size:
                return b""
            piece = await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
            return piece

    async def at_end(self) -> bytes:
        """Return what still comes until the other side closes."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    def close(self) -> None:
        self.writer.transport.abort()

    def reset(self) -> None:
        """Go so that the other side notices: a mere close may have been half of one."""
        connection = self.writer.get_extra_info("socket")
        if connection is None:
            # The other side was quicker.
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    assert colon, line
    assert name == name.strip(), line
    return name, value.strip()
