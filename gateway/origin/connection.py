"""One connection to an endpoint: bytes become a response head, pieces of a body, an end.

It carries one exchange at a time and goes back to its pool only when that ended cleanly:
request sent in full, response complete by its own framing, not a byte more than that.
"""

import asyncio
import math
from enum import Enum
from functools import lru_cache
from typing import Protocol, cast

from gateway.errors import (
    GatewayError,
    MalformedMessage,
    OriginHungUp,
    OriginSpokeNonsense,
    ResponseTruncated,
)
from gateway.wire import framing
from gateway.wire.fields import NONE, Fields, elements
from gateway.wire.framing import ChunkDecoder, Chunked, Framing, Sized, UntilClose
from gateway.wire.head import parse_response_head
from gateway.wire.message import ResponseHead

MAX_HEAD_BYTES = 64 * 1024
MAX_INTERIM = 16
"""A flood of 1xx responses is a broken origin."""


class ResponseTaker(Protocol):
    """Takes one response as it arrives: interim*, then whole; or interim*, head, piece*, end.

    Instead of what is still to come, `take_failure` may be called at any point.
    """

    def take_whole(self, head: ResponseHead, body: Sized, data: bytes) -> None:
        """Take a final response that came in one go, with all of its body in *data*."""

    def take_interim(self, head: ResponseHead) -> None:
        """Take a 1xx response (RFC 9110 section 15.2)."""

    def take_head(self, head: ResponseHead, body: Framing) -> None:
        """Take the final response's head and how its body is framed."""

    def take_piece(self, data: bytes) -> None:
        """Take some of the body."""

    def take_break(self) -> None:
        """Take note that no more has come for now: a good moment to pass on what has."""

    def take_end(self, trailers: Fields) -> None:
        """Take note that the response is complete."""

    def take_failure(self, error: GatewayError) -> None:
        """Take note that nothing more will come: no complete response did."""


class ConnectionKeeper(Protocol):
    """Whoever lends the connection out."""

    def release(self, connection: "OriginConnection") -> None:
        """Take back a connection that can carry another exchange."""

    def closed(self, connection: "OriginConnection") -> None:
        """Forget a connection."""


class _Phase(Enum):
    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    TUNNEL = "tunnel"
    CLOSED = "closed"


# An attribute of an Enum class takes a detour of 60 ns in CPython 3.11.
_IDLE = _Phase.IDLE
_HEAD = _Phase.HEAD
_BODY = _Phase.BODY
_TUNNEL = _Phase.TUNNEL
_CLOSED = _Phase.CLOSED


class OriginConnection(asyncio.Protocol):
    """A connection in the hands of a pool, or of one exchange."""

    __slots__ = ("_buffer", "_decoder", "_interims", "_method", "_missing",
                 "_on_room", "_phase", "_reusable", "_taker", "_until_close", "exchanges",
                 "heard", "idle_since", "keeper", "request_sent", "transport", "until",
                 "usable")  # fmt: skip

    def __init__(self, keeper: ConnectionKeeper) -> None:
        self.keeper = keeper
        self.until = math.inf
        """When it has lived long enough, in monotonic seconds."""
        self._phase = _IDLE
        self._buffer = b""
        self._taker: ResponseTaker | None = None
        self._on_room: WriteFlow | None = None
        self._method = b""
        self._missing = 0
        self._decoder: ChunkDecoder | None = None
        self._until_close = False
        self._interims = 0
        self._reusable = False
        self.heard = False
        """Something came back in the current exchange."""
        self.request_sent = True
        self.exchanges = 0
        """How many it has carried, the current one included."""
        self.idle_since = 0.0
        self.usable = False
        """Whether it can carry a new exchange, as far as we know."""
        self.transport: asyncio.Transport

    # What the pool and the exchange do.

    def begin(
        self, method: bytes, head: bytes, taker: ResponseTaker, body: "WriteFlow | None"
    ) -> None:
        """Send a request *head* and give the response to *taker*.

        With a *body*, more bytes follow by `write_body` until `body_ended`; the body is
        told when it has to pause.
        """
        self._phase = _HEAD
        self.usable = False
        self._method = method
        self._taker = taker
        self._on_room = body
        self.request_sent = body is None
        self.heard = False
        self.exchanges += 1
        self._interims = 0
        self.transport.write(head)

    def hand_to(self, taker: ResponseTaker) -> None:
        """Give the rest of the response to another *taker*."""
        self._taker = taker

    def write_body(self, data: bytes) -> None:
        """Send bytes of the request's body, already framed."""
        self.transport.write(data)

    def open_tunnel(self, body: "WriteFlow") -> None:
        """Let *body* flow to the endpoint, whatever it is now; it is told when to pause."""
        self._on_room = body

    def body_ended(self) -> None:
        """Note that the request was sent in full."""
        self.request_sent = True

    def pause(self) -> None:
        """Read no more for now: whoever takes the body has no room."""
        if self._phase is not _CLOSED:
            self.transport.pause_reading()

    def resume(self) -> None:
        """Go on reading."""
        if self._phase is not _CLOSED:
            self.transport.resume_reading()

    def close(self) -> None:
        """Close at once; the taker, if any, hears nothing more."""
        self._taker = None
        self._on_room = None
        self.usable = False
        if self._phase is not _CLOSED:
            self.transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (called by the event loop)."""
        # uvloop's transports implement asyncio.Transport without inheriting from it.
        self.transport = cast("asyncio.Transport", transport)
        self.usable = True

    def pause_writing(self) -> None:
        """Stop the request's body (called by the event loop)."""
        if self._on_room is not None:
            self._on_room.pause()

    def resume_writing(self) -> None:
        """Let the request's body flow again (called by the event loop)."""
        if self._on_room is not None:
            self._on_room.resume()

    def eof_received(self) -> None:
        """Let the transport close; `connection_lost` judges (called by the event loop)."""
        self.usable = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Judge what the end of the connection means for the exchange."""
        phase, self._phase = self._phase, _CLOSED
        self.usable = False
        taker, self._taker = self._taker, None
        self._on_room = None
        self.keeper.closed(self)
        if taker is None:
            return
        if phase is _HEAD:
            taker.take_failure(
                OriginHungUp("closed the connection before a complete response head")
            )
        elif phase is _TUNNEL or (self._until_close and exc is None):
            taker.take_end(NONE)
        else:
            taker.take_failure(ResponseTruncated("closed the connection inside the body"))

    def data_received(self, data: bytes) -> None:
        """Take bytes from the endpoint (called by the event loop)."""
        phase = self._phase
        if phase is _HEAD:
            self.heard = True
            try:
                self._receive_head(self._buffer + data if self._buffer else data)
            except MalformedMessage as error:
                self._fail(OriginSpokeNonsense(str(error)))
        elif phase is _BODY or phase is _TUNNEL:
            self._receive_body(data)
        else:
            # Bytes that nobody asked for: whatever they are, they answer no request.
            self.close()
            return
        if self._taker is not None and self._phase is not _HEAD:
            self._taker.take_break()

    def _receive_head(self, data: bytes) -> None:
        while True:
            head_end = data.find(b"\r\n\r\n")
            if (len(data) if head_end < 0 else head_end) > MAX_HEAD_BYTES:
                raise MalformedMessage(f"the response head is larger than {MAX_HEAD_BYTES} bytes")
            if head_end < 0:
                self._buffer = data
                return
            head_end += 4
            raw = data[:head_end]
            understand = _understand if head_end <= _MEMOISED_BYTES else _understand.__wrapped__
            head, body, reusable = understand(raw, self._method == b"HEAD")
            data = data[head_end:]
            self._buffer = b""
            if head.status >= 200 or head.status == 101:
                break
            self._interims += 1
            if self._interims > MAX_INTERIM:
                raise MalformedMessage(f"more than {MAX_INTERIM} interim responses")
            taker = self._taker
            assert taker is not None
            taker.take_interim(head)
            if self._taker is None:
                return
        self._begin_body(head, body, data, reusable=reusable)

    def _begin_body(
        self, head: ResponseHead, body: Framing, rest: bytes, *, reusable: bool
    ) -> None:
        taker = self._taker
        assert taker is not None
        if head.status == 101:
            self._phase = _TUNNEL
            self._until_close = False
            self._reusable = False
            taker.take_head(head, framing.UNTIL_CLOSE)
            if rest and self._taker is not None:
                taker.take_piece(rest)
            return
        if isinstance(body, Sized):
            if (
                len(rest) == body.length
                and reusable
                and self.request_sent
                and not self.transport.is_closing()
            ):
                # Most answers come so, and what follows is then done in one step.
                self._taker = None
                self._on_room = None
                self._phase = _IDLE
                self.usable = True
                self.keeper.release(self)
                taker.take_whole(head, body, rest)
                return
            self._missing = body.length
        elif isinstance(body, Chunked):
            self._decoder = ChunkDecoder()
        self._reusable = reusable
        self._until_close = isinstance(body, UntilClose)
        self._phase = _BODY
        taker.take_head(head, body)
        if self._taker is None:
            return
        if rest or (isinstance(body, Sized) and body.length == 0):
            self._receive_body(rest)

    def _receive_body(self, data: bytes) -> None:
        taker = self._taker
        if taker is None:
            return
        if self._decoder is not None:
            try:
                pieces = self._decoder.feed(data)
            except MalformedMessage as error:
                self._fail(ResponseTruncated(f"broke its chunked framing: {error}"))
                return
            for piece in pieces:
                taker.take_piece(piece)
                if self._taker is None:
                    return
            if self._decoder.done:
                self._finish(self._decoder.trailers, self._decoder.rest)
            return
        if self._until_close or self._phase is _TUNNEL:
            taker.take_piece(data)
            return
        missing = self._missing
        if len(data) > missing:
            piece, rest = data[:missing], data[missing:]
        else:
            piece, rest = data, b""
        self._missing = missing - len(piece)
        if piece:
            taker.take_piece(piece)
            if self._taker is None:
                return
        if self._missing == 0:
            self._finish(NONE, rest)

    def _finish(self, trailers: Fields, rest: bytes) -> None:
        taker, self._taker = self._taker, None
        assert taker is not None
        self._decoder = None
        self._on_room = None
        # More bytes than the framing announced would be read as the next response.
        if self._reusable and self.request_sent and not rest and not self.transport.is_closing():
            self._phase = _IDLE
            self.usable = True
            # The taker may have paused at the last piece; the next one would hear nothing.
            self.transport.resume_reading()
            self.keeper.release(self)
        else:
            # Not `close`: it waits until an endpoint takes the rest of a body that it has
            # answered already, and some never do.
            self.transport.abort()
        taker.take_end(trailers)

    def _fail(self, error: GatewayError) -> None:
        taker, self._taker = self._taker, None
        self._on_room = None
        self.transport.abort()
        if taker is not None:
            taker.take_failure(error)


class WriteFlow(Protocol):
    """Who is told when a connection's buffers fill and empty."""

    def pause(self) -> None:
        """Write no more for now."""

    def resume(self) -> None:
        """There is room again."""


_MEMOISED_BYTES = 2048


# An endpoint says the same over and over, at least within one second of its Date: 9 us to
# read and judge a head, 0.3 to remember.
@lru_cache(maxsize=512)
def _understand(raw: bytes, to_head: bool) -> tuple[ResponseHead, Framing, bool]:
    """Return a response head, its body's framing and whether the connection outlives it."""
    head = parse_response_head(raw)
    method = b"HEAD" if to_head else b"GET"
    return head, framing.of_response(method, head.status, head.fields, head.minor), _persists(head)


def _persists(head: ResponseHead) -> bool:
    """Return whether the connection outlives this response (RFC 9112 section 9.3)."""
    connection = head.fields.get(b"connection")
    if connection is None:
        return head.minor == 1
    options = elements(connection.lower())
    if b"close" in options:
        return False
    return head.minor == 1 or b"keep-alive" in options
