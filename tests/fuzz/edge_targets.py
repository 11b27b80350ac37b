"""A client's connection: any bytes, through a whole gateway, to an origin that h11 reads for.

Request smuggling is when two hops see different requests in the same bytes. So the client's
bytes are given to h11 as well, and the origin may hear only requests that h11 saw too, in the
same order, each with the same body; however the bytes were cut into pieces.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import h11

from gateway.config.build import load
from gateway.counters import Counters
from gateway.edge.client_life import State
from gateway.edge.connection import ClientConnection
from gateway.edge.gateway import Gateway
from gateway.edge.snapshot import Snapshot
from gateway.errors import MalformedRequest
from gateway.wire import target
from tests.fuzz.target import Target
from tests.fuzz.wire_targets import GRAMMAR, REQUESTS
from tests.wire.read import messages

NOON = 1_800_000_000.0
PATIENCE = 5.0
MOST_PIECES = 40
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
# h11 closes after HTTP/1.0, which RFC 9112 section 9.3 allows and doesn't ask for.
_ONE_OH_KEPT = re.compile(
    rb"\A[^\r]* HTTP/1\.0\r\n(?!.*^Connection:[^\r]*close).*^Connection:[^\r]*keep-alive",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
_WHOLE_SERVER = re.compile(rb"[^:]+://[^/?]+")
"""What OPTIONS asks about the whole server by (RFC 9112 section 3.2.4)."""

Request = tuple[bytes, bytes, bytes]
"""Method, target and body."""


@dataclass(slots=True)
class Reader:
    """A server's side of one connection, read with h11."""

    connection: h11.Connection = field(default_factory=lambda: h11.Connection(h11.SERVER))
    head: h11.Request | None = None
    body: bytes = b""


def replies(reader: Reader) -> Iterator[tuple[Request | None, bytes]]:
    """Yield each request that *reader* has now, None for 100-continue, and what to answer."""
    connection = reader.connection
    while True:
        event = connection.next_event()
        match event:
            case h11.Request():
                reader.head, reader.body = event, b""
                if connection.they_are_waiting_for_100_continue:
                    goahead = h11.InformationalResponse(status_code=100, headers=[])
                    yield None, connection.send(goahead) or b""
            case h11.Data():
                reader.body += bytes(event.data)
            case h11.EndOfMessage():
                head = reader.head
                assert head is not None
                if head.method == b"CONNECT":
                    # What follows a CONNECT that succeeds is no HTTP; we don't serve it.
                    return
                # Half of them may be stored, so that hits are among what is seen.
                control = b"max-age=60" if head.target.startswith(b"/a") else b"no-store"
                fields = [(b"Content-Length", b"0"), (b"Cache-Control", control)]
                answer = connection.send(h11.Response(status_code=200, headers=fields))
                end = connection.send(h11.EndOfMessage())
                yield (head.method, head.target, reader.body), (answer or b"") + (end or b"")
                if connection.our_state is not h11.DONE:
                    return
                connection.start_next_cycle()
            case _:
                return


def seen_by_h11(data: bytes) -> list[Request]:
    """Return the complete requests that h11 reads in *data*, targets normalised."""
    seen: list[Request] = []
    while data:
        # RFC 9112 section 2.2: an empty line before a request is ignored, which h11 leaves out.
        while data.startswith(b"\r\n"):
            data = data[2:]
        reader = Reader()
        reader.connection.receive_data(data)
        try:
            request = next((each for each, _ in replies(reader) if each is not None), None)
        except h11.RemoteProtocolError:
            break
        if request is None:
            break
        method, sent, body = request
        seen.append((method, _normal(method, sent), body))
        head = data.partition(b"\r\n\r\n")[0]
        if reader.connection.our_state is not h11.DONE and not _ONE_OH_KEPT.search(head):
            break
        data = reader.connection.trailing_data[0]
    return seen


def _normal(method: bytes, sent: bytes) -> bytes:
    if method == b"OPTIONS" and _WHOLE_SERVER.fullmatch(sent):
        return b"*"
    try:
        if sent.startswith(b"/"):
            return target.origin_form(sent).encode()
        return sent if sent == b"*" else target.absolute_form(sent)[1].encode()
    except MalformedRequest:
        return b"refused by us"


class Origin(asyncio.Protocol):
    """Reads what it is sent with h11, and answers at once."""

    def __init__(self, heard: list[Request], complaints: list[str]) -> None:
        self._heard = heard
        self._complaints = complaints
        self._reader = Reader()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._reader.connection.receive_data(data)
        try:
            for request, answer in replies(self._reader):
                if request is not None:
                    self._heard.append(request)
                self._transport.write(answer)
        except h11.RemoteProtocolError as error:
            self._complaints.append(str(error))
            self._transport.abort()


class Wire(asyncio.Transport):
    """A client's socket that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def writelines(self, list_of_data: Any) -> None:
        for each in list_of_data:
            self.written += each

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Nothing is read from here."""

    resume_reading = pause_reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Everything is taken at once."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default


class Loop:
    """One event loop with an origin, for all inputs."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.heard: list[Request] = []
        self.complaints: list[str] = []
        self.failures: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.failures.append(str(context)))
        self._server = self.loop.run_until_complete(
            self.loop.create_server(lambda: Origin(self.heard, self.complaints), "127.0.0.1", 0)
        )
        port = self._server.sockets[0].getsockname()[1]
        with TemporaryDirectory() as folder:
            rules = Path(folder) / "rules.yaml"
            rules.write_text("version: 1\n")
            self.snapshot: Snapshot = load(rules, {}, f"http://127.0.0.1:{port}")

    def close(self) -> None:
        self._server.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def through(self, pieces: list[bytes]) -> tuple[list[int], list[Request], bytes]:
        """Return the statuses that a client got, what the origin heard, and the raw answer."""
        return self.loop.run_until_complete(self._through(pieces))

    async def _through(self, pieces: list[bytes]) -> tuple[list[int], list[Request], bytes]:
        for each in (self.heard, self.complaints, self.failures):
            each.clear()
        gateway = Gateway(self.snapshot, Counters(), None, clock=lambda: NOON)
        site = gateway.site
        client = ClientConnection(site, gateway._refreshes, gateway._lane)
        wire = Wire()
        client.connection_made(wire)
        for piece in pieces:
            if not wire.closed:
                client.data_received(piece)
                await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            # A body that is still to come keeps its exchange waiting, rightly.
            while client._state is State.EXCHANGING and client._body is None:  # noqa: ASYNC110
                await asyncio.sleep(0)
        client.connection_lost(None)
        for pool in site.pools.values():
            pool.close_idle()
        await site.background.close()
        site.representations.close()
        assert self.failures == [], self.failures
        raw = bytes(wire.written)
        return [int(found) for found in _STATUS.findall(raw)], list(self.heard), raw


@cache
def world() -> Loop:
    """Return the loop, which lives as long as inputs are tried."""
    return Loop()


def _is_within(some: list[Request], everything: list[Request]) -> bool:
    """Return whether *some* are among *everything*, in the same order."""
    rest = iter(everything)
    return all(each in rest for each in some)


def check_connection(data: bytes) -> None:
    step = max(1, len(data) // MOST_PIECES)
    if data:
        step = max(step, data[-1] % 16)
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    everything = seen_by_h11(data)
    outcomes = []
    for cut in ([data], pieces):
        statuses, heard, raw = world().through(cut)
        assert _is_within(heard, everything), f"the origin heard {heard}, h11 saw {everything}"
        assert world().complaints == [], "what we forwarded is no HTTP"
        final = [status for status in statuses if status >= 200]
        assert len(final) <= len(everything) + 1, "more answers than requests"
        assert raw.count(b"\r\nConnection: close\r\n") <= 1
        _, closing, last = raw.partition(b"\r\nConnection: close\r\n")
        assert not closing or not _STATUS.search(last), "an answer after the last one"
        outcomes.append(([status < 400 for status in final], heard))
    assert outcomes[0] == outcomes[1], "pieces change what was asked"


_GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
_POST = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
_CHUNKED = b"PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
TARGETS = (
    Target(
        "connection",
        check_connection,
        (
            _GET + _GET,
            _POST + _GET,
            _CHUNKED + _POST,
            b"\r\n" + _GET + b"HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + _GET,
            b"POST /b HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc" + _GET,
            _CHUNKED.replace(b"3\r\n", b"3;x=y\r\n") + _GET,
            _POST.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n") + _GET,
            _POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") + _GET,
            *(file.read_bytes() + _GET for file in messages("requests/accepted")),
            *(file.read_bytes() + _GET for file in messages("requests/refused")),
        ),
        (*GRAMMAR, *REQUESTS, _GET, _POST, _CHUNKED, b"0\r\n\r\n", b"5\r\nhello\r\n", b"\r\n\r\n"),
        2048,
    ),
)
