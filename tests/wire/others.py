"""Two other readers of HTTP/1.1, h11 and llhttp (by httptools), asked the same question.

`read_by_*` take a message that ends where its framing says, and return what it was read as.
They raise `Refused` when the reader refuses it, or when it hasn't ended there or ended before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import h11
import httptools


class Refused(Exception):
    """The reader doesn't take the bytes for one complete message."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One message as somebody understood it."""

    start: tuple[bytes, ...]
    """Method and target as sent, or status and reason."""
    minor: int
    fields: tuple[tuple[bytes, bytes], ...]
    """Names in lower case; a transfer coding is, too, since h11 writes it so."""
    body: bytes


def field(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    lower = name.lower()
    return lower, value.lower() if lower == b"transfer-encoding" else value


_Event = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


def request_by_h11(message: bytes) -> Reading:
    head, body = _events(h11.Connection(h11.SERVER), message, at_end=False)
    assert isinstance(head, h11.Request)
    return Reading((head.method, head.target), *_shared(head), body)


def response_by_h11(message: bytes, method: bytes, *, until_close: bool) -> Reading:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    head, body = _events(connection, message, at_end=until_close)
    assert isinstance(head, h11.Response)
    return Reading((b"%d" % head.status_code, head.reason), *_shared(head), body)


def _shared(head: h11.Request | h11.Response) -> tuple[int, tuple[tuple[bytes, bytes], ...]]:
    fields = tuple(field(name, value) for name, value in head.headers)
    return int(head.http_version.partition(b".")[2]), fields


def _events(
    connection: h11.Connection, message: bytes, *, at_end: bool
) -> tuple[h11.Request | h11.Response, bytes]:
    head: h11.Request | h11.Response | None = None
    body = b""
    connection.receive_data(message)
    if at_end:
        connection.receive_data(b"")
    try:
        while True:
            event = connection.next_event()
            match event:
                case h11.Request() | h11.Response():
                    head = event
                case h11.Data():
                    body += bytes(event.data)
                case h11.EndOfMessage():
                    break
                case _:
                    raise Refused(repr(event))
    except h11.RemoteProtocolError as error:
        raise Refused(str(error)) from error
    if head is None or connection.trailing_data[0]:
        raise Refused("ended early")
    return head, body


class _Notes:
    def __init__(self) -> None:
        self.start = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.complete = 0
        self.heads = 0

    def on_url(self, url: bytes) -> None:
        self.start += url

    def on_status(self, status: bytes) -> None:
        self.start += status

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.body and not self.complete:
            # llhttp leaves the white space after a value to its user.
            self.fields.append(field(name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.heads += 1

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1


def request_by_llhttp(message: bytes) -> Reading:
    if _feed(httptools.HttpRequestParser, message[:-1])[1].complete:
        raise Refused("ended early")
    parser, notes = _feed(httptools.HttpRequestParser, message)
    if notes.complete != 1:
        raise Refused("didn't end")
    start = (parser.get_method(), notes.start)
    minor = int(parser.get_http_version().partition(".")[2])
    return Reading(start, minor, tuple(notes.fields), notes.body)


def response_by_llhttp(message: bytes, *, until_close: bool) -> Reading:
    parser, notes = _feed(httptools.HttpResponseParser, message)
    if notes.heads != 1 or notes.complete != (0 if until_close else 1):
        raise Refused("ended elsewhere")
    start = (b"%d" % parser.get_status_code(), notes.start)
    minor = int(parser.get_http_version().partition(".")[2])
    return Reading(start, minor, tuple(notes.fields), notes.body)


Parser = TypeVar("Parser", httptools.HttpRequestParser, httptools.HttpResponseParser)


def _feed(kind: Callable[[_Notes], Parser], data: bytes) -> tuple[Parser, _Notes]:
    notes = _Notes()
    parser = kind(notes)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise Refused(f"{type(error).__name__}: {error}") from error
    return parser, notes
