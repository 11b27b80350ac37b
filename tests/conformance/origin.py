"""The origin of the dialogues (`data/SCHEMA.md`, section 3): answers as it was told to."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from time import time
from typing import Any, Final, Self

import msgspec

from tests.conformance import http, magic
from tests.conformance.http import Lines
from tests.conformance.suite import Line, Step

_IDLE_SECONDS: Final = 5.0
"""How long an unframed body's connection stays open, as with Node."""


class Seen(msgspec.Struct):
    """A request as the origin saw it, and the fields that must reach the client unchanged."""

    request_num: int | None
    request_method: str
    request_headers: dict[str, str]
    response_headers: list[tuple[str, str | list[str]]]


@dataclass(slots=True)
class _Dialogue:
    steps: list[Step]
    seen: list[Seen] = field(default_factory=list)
    sent: dict[tuple[int, str], str] = field(default_factory=dict)
    """The dates that were sent, by step and lower-case name."""


@dataclass(slots=True)
class _Request:
    method: str
    target: str
    fields: dict[str, str]
    body: bytes


class Origin:
    """Listens on a free port of the loopback interface."""

    def __init__(self) -> None:
        self._dialogues: dict[str, _Dialogue] = {}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(http.NoResponse, ConnectionError, asyncio.IncompleteReadError):
            while await self._answer(await _read(reader), writer):
                await writer.drain()
        writer.close()

    async def _answer(self, request: _Request, writer: asyncio.StreamWriter) -> bool:
        """Answer; return whether the connection stays open."""
        kind, _, rest = request.target.lstrip("/").partition("/")
        uuid = rest.partition("?")[0].partition("/")[0]
        if kind == "test":
            return await self._test(uuid, request, writer)
        if kind == "config":
            status, body = self._configure(uuid, request)
        elif kind == "state" and uuid in self._dialogues and self._dialogues[uuid].seen:
            status, body = 200, msgspec.json.encode(self._dialogues[uuid].seen)
        else:
            status, body = (200, b"OK") if request.target == "/" else (404, b"")
        return _send(writer, request, (status, ""), [("Content-Type", "text/plain")], body)

    def _configure(self, uuid: str, request: _Request) -> tuple[int, bytes]:
        if request.method != "PUT":
            return 405, b""
        if uuid in self._dialogues:
            return 409, b""
        self._dialogues[uuid] = _Dialogue(msgspec.json.decode(request.body, type=list[Step]))
        return 201, b"OK"

    async def _test(self, uuid: str, request: _Request, writer: asyncio.StreamWriter) -> bool:
        dialogue = self._dialogues.get(uuid)
        number = request.fields.get("req-num", "")
        client = int(number) if number.isdigit() else None
        steps = [] if dialogue is None else dialogue.steps
        index = client or (0 if dialogue is None else len(dialogue.seen) + 1)
        if dialogue is None or not 1 <= index <= len(steps):
            return _send(writer, request, (409, ""), [], b"no such request")
        step = steps[index - 1]
        if step.response_pause:
            await asyncio.sleep(step.response_pause)
        for interim in step.interim_responses:
            lines: Any = interim[1] if len(interim) > 1 else []
            code = int(str(interim[0]))
            writer.write(
                http.head(f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", [(n, v) for n, v in lines])
            )
        status = _status(dialogue, index, request)
        now = int(time() * 1000)
        sent, checked = _fields(dialogue, index, request, now)
        seen = [*(one.request_num for one in dialogue.seen), client]
        listed = " ".join("NaN" if one is None else str(one) for one in seen)
        lines = [
            ("Server-Base-Url", request.target),
            ("Server-Request-Count", str(len(seen))),
            ("Client-Request-Count", "NaN" if client is None else str(client)),
            ("Server-Now", str(now)),
            *sent,
        ]
        names = {name.lower() for name, _ in lines}
        if "content-type" not in names:
            lines.append(("Content-Type", "text/plain"))
        lines.append(("Request-Numbers", listed))
        if "date" not in names:
            lines.append(("Date", magic.date(now, 0, rfc850=False)))
        dialogue.seen.append(Seen(client, request.method, request.fields, checked))
        if step.disconnect:
            return False
        body = (step.response_body or uuid).encode("latin-1")
        if "transfer-encoding" in names:
            return await _send_unframed(writer, request, status, lines, body)
        return _send(writer, request, status, lines, body)


async def _read(reader: asyncio.StreamReader) -> _Request:
    start, lines = await http.read_head(reader)
    method, target, _ = start.split(" ", 2)
    fields = http.combined(lines)
    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = await http.read_chunked(reader)
    else:
        body = await reader.readexactly(int(fields.get("content-length", "0")))
    return _Request(method, target, fields, body)


def _status(dialogue: _Dialogue, index: int, request: _Request) -> tuple[int, str]:
    """Return the status; a validating request is answered 304 or, if it isn't one, 999."""
    step = dialogue.steps[index - 1]
    if not (step.expected_type or "").endswith("validated"):
        return step.response_status or (200, "OK")
    previous: Line
    modified = etag = None
    for previous in dialogue.steps[index - 2].response_headers if index > 1 else []:
        name = str(previous[0]).lower()
        text = None if isinstance(previous[1], int) else str(previous[1])
        if name == "last-modified":
            modified = text or dialogue.sent.get((index - 1, name))
        elif name == "etag":
            etag = text
    if modified is not None and request.fields.get("if-modified-since") == modified:
        return 304, "Not Modified"
    if etag is not None and request.fields.get("if-none-match") == etag:
        return 304, "Not Modified"
    return 999, "304 Not Generated"


def _fields(
    dialogue: _Dialogue, index: int, request: _Request, now: int
) -> tuple[Lines, list[tuple[str, str | list[str]]]]:
    """Return the test's own field lines, and those that the client must see unchanged."""
    step = dialogue.steps[index - 1]
    sent: Lines = []
    for given in step.response_headers:
        line = magic.location(given, request.target) if step.magic_locations else given
        name = str(line[0])
        value = magic.value(line, now, step.rfc850date)
        dialogue.sent[index, name.lower()] = value
        sent.append((name, value))
    checked: list[tuple[str, str | list[str]]] = []
    for given in step.response_headers:
        name = str(given[0])
        if len(given) <= 2 or given[2] is True:
            values = [value for other, value in sent if other.lower() == name.lower()]
            checked.append((name, values if len(values) > 1 else values[0]))
    return sent, checked


def _head(request: _Request, status: tuple[int, str], lines: Lines) -> tuple[bytes, bool]:
    persistent = request.fields.get("connection", "").lower() != "close"
    connection = [("Connection", "keep-alive"), ("Keep-Alive", "timeout=5")]
    names = {name.lower() for name, _ in lines}
    if not persistent:
        connection = [("Connection", "close")]
    lines = [*lines, *(one for one in connection if one[0].lower() not in names)]
    reason = status[1] or (
        HTTPStatus(status[0]).phrase if status[0] in set(HTTPStatus) else "Unknown"
    )
    return http.head(f"HTTP/1.1 {status[0]} {reason}", lines), persistent


def _send(
    writer: asyncio.StreamWriter,
    request: _Request,
    status: tuple[int, str],
    lines: Lines,
    body: bytes,
) -> bool:
    bodiless = request.method == "HEAD" or status[0] in (204, 304)
    if not bodiless and not any(name.lower() == "content-length" for name, _ in lines):
        lines = [*lines, ("Content-Length", str(len(body)))]
    head, persistent = _head(request, status, lines)
    # More than Content-Length says is sent all the same: a trap that some tests lay.
    writer.write(head if bodiless else head + body)
    return persistent


async def _send_unframed(
    writer: asyncio.StreamWriter,
    request: _Request,
    status: tuple[int, str],
    lines: Lines,
    body: bytes,
) -> bool:
    head, _ = _head(request, status, lines)
    writer.write(head if request.method == "HEAD" else head + body)
    await writer.drain()
    await asyncio.sleep(_IDLE_SECONDS)
    return False
