"""An origin that says what it is told to, and remembers what it heard."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self, TypeAlias

PATIENCE = 10.0
"""Seconds until a test gives up; nothing waits for it to pass."""


@dataclass(slots=True)
class Heard:
    """One request as it arrived."""

    line: str
    fields: list[tuple[str, str]]
    body: bytes
    connection: int
    """Which connection it came on, counted from 1."""

    def get(self, name: str) -> str | None:
        """Return the values under *name*, joined; None when there are none."""
        values = [value for known, value in self.fields if known.lower() == name.lower()]
        return ", ".join(values) if values else None


class Wire:
    """The connection that a request came on, for answers that take several steps."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    def flood(self, pieces: int = 400) -> None:
        """Write *pieces* of 64 KB, whether anybody takes them or not."""
        for _ in range(pieces):
            self.writer.write(b"x" * 65536)

    async def gone(self) -> None:
        """Wait until the other side closes or resets."""
        async with asyncio.timeout(PATIENCE):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionError:
                return

    def reset(self) -> None:
        self.writer.transport.abort()


Act: TypeAlias = Callable[[Heard, Wire], Awaitable[None]]
Answer: TypeAlias = bytes | Act


def response(status: str = "200 OK", body: bytes = b"", **fields: str) -> bytes:
    """Return a response with a Content-Length; ``cache_control="max-age=60"`` and so on."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def ok(body: bytes = b"ok", max_age: int | None = None, **fields: str) -> bytes:
    if max_age is not None:
        fields.setdefault("cache_control", f"max-age={max_age}")
    return response("200 OK", body, **fields)


@dataclass(slots=True)
class ScriptedOrigin:
    """Answers by path, else by ``*``; of several each is given once, the last for ever."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    address: tuple[str, int] = ("", 0)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def on(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def lines(self) -> list[str]:
        return [heard.line for heard in self.heard]

    async def until_heard(self, count: int) -> None:
        """Wait until *count* requests have arrived."""
        async with asyncio.timeout(PATIENCE):
            while len(self.heard) < count:
                self._changed.clear()
                await self._changed.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = (host, port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while (heard := await _read(reader, number)) is not None:
                self.heard.append(heard)
                self._changed.set()
                await self._answer(heard, Wire(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # Cancelled only by `stop`; asyncio's streams complain about a cancelled task.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, heard: Heard, wire: Wire) -> None:
        path = heard.line.split(" ")[1].partition("?")[0]
        answers = self.answers.get(path) or self.answers.get("*") or [response("404 Not Found")]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if not isinstance(answer, bytes):
            await answer(heard, wire)
            return
        if heard.line.startswith("HEAD "):
            answer = answer[: answer.find(b"\r\n\r\n") + 4]
        await wire.send(answer)


async def _read(reader: asyncio.StreamReader, connection: int) -> Heard | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    fields = []
    for raw in lines:
        name, _, value = raw.partition(":")
        fields.append((name, value.strip()))
    heard = Heard(first, fields, b"", connection)
    if heard.get("expect") is not None:
        # The body comes only when it is asked for: that is for the answer to do.
        return heard
    heard.body = await read_body(reader, heard)
    return heard


async def read_body(reader: asyncio.StreamReader, heard: Heard) -> bytes:
    """Return the body that *heard* announces."""
    if heard.get("transfer-encoding") == "chunked":
        pieces = []
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            pieces.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
        return b"".join(pieces)
    length = heard.get("content-length")
    return await reader.readexactly(int(length)) if length else b""


@asynccontextmanager
async def scripted_origin(**answers: Answer) -> AsyncIterator[ScriptedOrigin]:
    """Start an origin; ``a=ok()`` answers at ``/a``."""
    async with ScriptedOrigin({f"/{name}": [each] for name, each in answers.items()}) as origin:
        yield origin
