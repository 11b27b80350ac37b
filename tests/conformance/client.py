"""The client of the dialogues: sends what a test says and keeps all that came back."""

import asyncio
import zlib
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin, urlsplit

from tests.conformance import http
from tests.conformance.http import Lines, NoResponse

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HOPS: Final = 5


@dataclass(slots=True)
class Response:
    """A final response, and the interim ones before it."""

    status: int
    lines: Lines
    body: str
    interim: list[tuple[int, Lines]] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        """Return the combined value of a field."""
        return http.combined(self.lines).get(name.lower())


class Client:
    """One connection to the gateway, opened anew when it was closed."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def ask(
        self, method: str, target: str, lines: Lines, body: bytes | None = None, *, follow: bool
    ) -> Response:
        """Return the response; raise NoResponse where there is none.

        *follow*: go after redirects as fetch() does, which turns a POST into a GET.
        """
        for _ in range(_HOPS):
            response = await self._ask(method, target, lines, body)
            location = response.get("location")
            if not follow or response.status not in _REDIRECTS or location is None:
                return response
            if response.status == 303 or (response.status in (301, 302) and method == "POST"):
                method, body = "GET", None
            parts = urlsplit(urljoin(target, location))
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        raise NoResponse("too many redirects")

    async def _ask(self, method: str, target: str, lines: Lines, body: bytes | None) -> Response:
        host = f"{self._address[0]}:{self._address[1]}"
        sent = [
            ("Host", host),
            ("Connection", "keep-alive"),
            *lines,
            *([("Content-Length", str(len(body)))] if body is not None else []),
        ]
        request = http.head(f"{method} {target} HTTP/1.1", sent) + (body or b"")
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        try:
            writer.write(request)
            response, persistent = await _read(reader, method)
        except (NoResponse, ConnectionError, asyncio.IncompleteReadError, ValueError) as error:
            self.close()
            raise NoResponse(str(error)) from error
        if not persistent:
            self.close()
        return response


async def _read(reader: asyncio.StreamReader, method: str) -> tuple[Response, bool]:
    interim: list[tuple[int, Lines]] = []
    while True:
        start, lines = await http.read_head(reader)
        status = int(start.split(" ", 2)[1])
        if status >= 200:
            break
        interim.append((status, lines))
    fields = http.combined(lines)
    persistent = fields.get("connection", "").lower() != "close"
    if method == "HEAD" or status in (204, 304):
        body = b""
    elif fields.get("transfer-encoding", "").lower() == "chunked":
        body = await http.read_chunked(reader)
    elif "content-length" in fields:
        body = await reader.readexactly(int(fields["content-length"]))
    else:
        body, persistent = await reader.read(), False
    body = _decoded(body, fields.get("content-encoding", ""))
    return Response(status, lines, body.decode("latin-1"), interim), persistent


def _decoded(body: bytes, coding: str) -> bytes:
    if coding in ("gzip", "deflate") and body:
        return zlib.decompress(body, wbits=47)
    return body
