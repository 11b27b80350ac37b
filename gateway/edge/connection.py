"""One client's connection: bytes become requests, one after the other.

Requests are answered in the order in which they came. While one is being answered, what
follows it waits in a bounded buffer, and beyond that in the client.
"""

import asyncio
from enum import Enum
from http import HTTPStatus
from typing import cast

from gateway.edge import asking, refusal
from gateway.edge.asked import Cacheable
from gateway.edge.exchange import Exchange
from gateway.edge.fast_lane import FastLane
from gateway.edge.flight import Flight
from gateway.edge.passes import RepeatedPass
from gateway.edge.refreshing import Refreshes
from gateway.edge.request_body import RequestBody
from gateway.edge.site import Site
from gateway.errors import MalformedRequest, RequestRefused
from gateway.origin.upload import Upload
from gateway.policy.ranges import Piece
from gateway.policy.reuse import Deliver
from gateway.wire import framing
from gateway.wire.fields import elements
from gateway.wire.head import parse_request_head
from gateway.wire.message import RequestHead

_PIPELINE_BYTES = 64 * 1024
"""What may wait behind a request that is being answered."""
_ROOM_BYTES = 512 * 1024
"""What may wait for a client to take it before its origin is held back."""
_FIRST_REQUEST_SECONDS = 1.0
"""For a client that has just connected when the worker is told to drain."""
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 4 * 1024 * 1024


class State(Enum):
    """What the connection is doing."""

    IDLE = "between requests, with room to write"
    RECEIVING = "a head is arriving"
    FULL = "between requests, but the client takes nothing"
    EXCHANGING = "a request is being answered"
    TUNNEL = "bytes pass as they are"
    LINGERING = "the last answer is sent; what still comes is thrown away"
    CLOSED = "gone"


# An attribute of an Enum class takes a detour of 60 ns in CPython 3.11.
_IDLE = State.IDLE
_EXCHANGING = State.EXCHANGING
_FULL = State.FULL
_CLOSED = State.CLOSED
_NEVER = float("inf")


class ClientConnection(asyncio.Protocol):
    """A connection that a client opened."""

    __slots__ = ("_active", "_advancing", "_body", "_buffer", "_exchange",
                 "_flight", "_heads", "_lane", "_lingered", "_passes", "_paused_reading",
                 "_refreshes", "_side_by_side",
                 "_site", "_stamp", "_state", "_transport", "_tunnel", "_upload_held", "address",
                 "deadline", "half_closed", "has_room", "watched_in")  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, site: Site, refreshes: Refreshes, lane: FastLane) -> None:
        self._site = site
        self._refreshes = refreshes
        self._side_by_side = refreshes.fetches.side_by_side
        self._lane = lane
        self._heads = site.heads
        self._passes = site.passes.table
        self._stamp = site.stamp
        self._state = _CLOSED
        self._buffer = b""
        self._exchange: Exchange | None = None
        self._flight: Flight | None = None
        self._body: RequestBody | None = None
        """The body that is still arriving."""
        self._tunnel: Upload | None = None
        self._upload_held = False
        self._paused_reading = False
        self._lingered = 0
        self._active: bool | None = None
        """Whether a request came since the deadline was set; None before the first."""
        self._advancing = False
        self.half_closed = False
        self.has_room = True
        self.address = b""
        self.deadline = _NEVER
        self.watched_in = 0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (called by the event loop)."""
        # uvloop's transports implement asyncio.Transport without inheriting from it.
        self._transport = cast("asyncio.Transport", transport)
        transport = self._transport
        transport.set_write_buffer_limits(high=_ROOM_BYTES)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]).encode() if isinstance(peer, tuple) else b"unknown"
        site = self._site
        site.connections.add(self)
        site.counters.connections_open += 1
        site.counters.connections_accepted += 1
        self._state = _IDLE
        site.watch.set(self, site.monotonic() + site.snapshot.limits.idle_timeout)

    def data_received(self, data: bytes) -> None:
        """Answer a head that is known, or look closer (called by the event loop)."""
        # Identity, not match, and no calls but the unavoidable: this runs on every hit, and
        # bench/ sees it.
        if self._state is _IDLE:
            entry = self._heads.young.get(data)
            if entry is None:
                passed = self._passes.get(data)
                if (
                    passed is not None
                    and passed.stamp == self._stamp.value
                    and (passed.key is None or passed.key in self._side_by_side)
                ):
                    self._site.counters.received_bytes += len(data)
                    self._pass_again(passed)
                    return
                entry = self._heads.find(data)
            if entry is not None and (
                (entry.stamp == self._stamp.value and entry.shelf.live) or self._lane.renew(entry)
            ):
                entry.hits += 1
                self._active = True
                if entry.large_body:
                    self._transport.writelines((entry.wire, entry.large_body))
                else:
                    self._transport.write(entry.wire)
                if self._lane.logging:
                    self._lane.log_repeated(entry, self.address)
                return
        self._receive(data)

    def eof_received(self) -> bool:
        """Let a half-closed client have its answer (called by the event loop)."""
        if self._state is _EXCHANGING and self._body is None:
            # RFC 9112 section 9.6: it may only have closed its sending side. We find out
            # when we write.
            if self._exchange is not None:
                self._exchange.reply.persistent = False
            self.half_closed = True
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Let go of everything (called by the event loop)."""
        self._state = _CLOSED
        site = self._site
        site.watch.discard(self)
        site.left(self)
        site.counters.connections_open -= 1
        exchange, self._exchange = self._exchange, None
        self._body = None
        self._tunnel = None
        if exchange is not None:
            exchange.client_left()
        if self._flight is not None:
            self._flight.abandon()

    def pause_writing(self) -> None:
        """Note that the client takes too little (called by the event loop)."""
        self.has_room = False
        site = self._site
        if self._state is _IDLE:
            self._state = _FULL
        site.watch.set(self, site.monotonic() + site.snapshot.limits.send_timeout)

    def resume_writing(self) -> None:
        """Go on (called by the event loop)."""
        self.has_room = True
        if self._state is _FULL:
            self._become_idle()
        elif self._exchange is not None:
            self.deadline = _NEVER
            self._exchange.room()

    # Time.

    def expire(self, now: float) -> None:
        """Act on a deadline that passed."""
        site = self._site
        limits = site.snapshot.limits
        match self._state:
            case State.IDLE:
                if self._active:
                    # Answers from the fast lane don't touch the deadline, only this mark.
                    self._active = False
                    site.watch.set(self, now + limits.idle_timeout)
                else:
                    self._transport.close()
            case State.RECEIVING:
                self._refuse(MalformedRequest("the head took too long", HTTPStatus.REQUEST_TIMEOUT))
            case State.EXCHANGING if self.has_room and self._body is not None:
                exchange = self._exchange
                if exchange is not None and not exchange.reply.started:
                    exchange.upload_stalled()
                else:
                    self._transport.abort()
            case State.EXCHANGING if self.has_room:
                site.watch.set(self, now + limits.send_timeout)
            case _:
                self._transport.abort()

    # Requests.

    def _receive(self, data: bytes) -> None:
        match self._state:
            case State.IDLE | State.RECEIVING:
                self._buffer = self._buffer + data if self._buffer else data
                self._advance()
            case State.EXCHANGING if self._body is not None:
                self._feed_body(self._body, data)
            case State.EXCHANGING | State.FULL:
                self._buffer += data
                if len(self._buffer) > _PIPELINE_BYTES:
                    self._pause_reading()
            case State.TUNNEL if self._tunnel is not None:
                self._tunnel.feed(data)
            case State.LINGERING:
                self._lingered += len(data)
                if self._lingered > _LINGER_BYTES:
                    self._transport.abort()
            case State.TUNNEL | State.CLOSED:
                pass

    def _advance(self) -> None:
        """Answer what lies in the buffer, up to a request that has to wait."""
        if self._advancing:
            # An answer was ready at once: the loop below goes on, without growing the stack.
            return
        self._advancing = True
        try:
            self._advance_while_possible()
        finally:
            self._advancing = False

    def _advance_while_possible(self) -> None:
        limits = self._site.snapshot.limits
        while self._buffer and (self._state is _IDLE or self._state is State.RECEIVING):
            if self._buffer.startswith(b"\r\n"):
                # RFC 9112 section 2.2: an empty line before a request is ignored.
                self._buffer = self._buffer[2:]
                continue
            head_end = self._buffer.find(b"\r\n\r\n")
            try:
                if head_end < 0:
                    refusal.check_unfinished(self._buffer, limits)
                    if self._state is _IDLE:
                        self._state = State.RECEIVING
                        self._site.watch.set(self, self._site.monotonic() + limits.head_timeout)
                    return
                head, self._buffer = self._buffer[: head_end + 4], self._buffer[head_end + 4 :]
                self._state = _IDLE
                self._begin(head)
            except RequestRefused as refused:
                self._refuse(refused)
                return

    def _begin(self, raw: bytes) -> None:
        """Answer the request whose head is *raw*, now or when the origin has answered."""
        site = self._site
        self._active = True
        limits = site.snapshot.limits
        site.counters.received_bytes += len(raw)
        refusal.check_size(raw, limits)
        head = parse_request_head(raw, limits.field_count)
        body = framing.of_request(head.fields, head.minor)
        has_body = body is not framing.EMPTY and body != framing.EMPTY
        expectation = head.fields.index().get(b"expect")
        if expectation is not None and expectation.lower() != b"100-continue":
            raise MalformedRequest(
                "only 100-continue can be expected", HTTPStatus.EXPECTATION_FAILED
            )
        asked = asking.ask(site, head, has_body=has_body)
        persistent = self._persists(head)
        if isinstance(asked, Cacheable) and isinstance(asked.verdict, Deliver):
            if asked.route.cache.early_refresh:
                self._refreshes.draw(asked, asked.verdict, head, self.address)
            if self._lane.deliver(self, raw, head, asked, asked.verdict, persistent=persistent):
                return
        self._state = _EXCHANGING
        self.deadline = _NEVER
        exchange = Exchange(site, self._refreshes, self, head, asked, persistent=persistent)
        self._exchange = exchange
        if not has_body:
            exchange.start(raw, None)
            return
        upload = Upload(body, self)
        self._body = RequestBody(body, upload)
        site.watch.set(self, site.monotonic() + limits.send_timeout)
        exchange.start(raw, upload)
        if self._buffer and self._body is not None:
            rest, self._buffer = self._buffer, b""
            self._feed_body(self._body, rest)

    def _pass_again(self, passed: RepeatedPass) -> None:
        """Forward a head that was forwarded just now."""
        self._state = _EXCHANGING
        self._active = True
        self.deadline = _NEVER
        # The log wants to know more than a flight does.
        if not self._lane.logging:
            now = self._site.monotonic()
            connection = passed.pool.lend(now)
            if connection is not None:
                passed.forward_for(self.address)
                flight = self._flight
                if flight is None:
                    flight = self._flight = Flight(self._site, self)
                flight.begin(passed, connection, now)
                return
        self.exchange_for(passed).start_again(passed)

    def exchange_for(self, passed: RepeatedPass) -> Exchange:
        """Return an exchange for a repeated pass, from now on in charge of its answer."""
        persistent = not self._site.draining and not self.half_closed
        exchange = Exchange(
            self._site, self._refreshes, self, passed.head, passed.asked, persistent=persistent
        )
        self._exchange = exchange
        return exchange

    def landed(self) -> None:
        """Note that a flight's answer is sent."""
        if self._state is _EXCHANGING:
            self._become_idle()

    def _persists(self, head: RequestHead) -> bool:
        """Return whether the connection outlives the answer (RFC 9112 section 9.3)."""
        if self._site.draining:
            return False
        connection = head.fields.index().get(b"connection")
        if connection is None:
            return head.minor == 1
        if connection == b"keep-alive":
            return True
        options = elements(connection.lower())
        if b"close" in options:
            return False
        return head.minor == 1 or b"keep-alive" in options

    def _refuse(self, refused: RequestRefused) -> None:
        """Answer with an error and close: what follows can't be trusted to be a request."""
        self._buffer = b""
        self._site.counters.refused[int(refused.status)] += 1
        self._transport.write(refusal.answer(refused, self._site.clock()))
        self._linger()

    # The request's body.

    def _feed_body(self, body: RequestBody, data: bytes) -> None:
        site = self._site
        site.counters.received_bytes += len(data)
        self.deadline = site.monotonic() + site.snapshot.limits.send_timeout
        try:
            body.feed(data)
        except MalformedRequest as refused:
            self._break_body(refused)
            return
        if body.ended and self._body is body:
            self._body = None
            self._buffer = body.rest
            self.deadline = _NEVER
            body.upload.end()

    def _break_body(self, refused: RequestRefused) -> None:
        self._body = None
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        started = exchange.reply.started
        exchange.client_left()
        if started:
            self._transport.abort()
        else:
            self._refuse(refused)

    def pause_upload(self) -> None:
        """Read no more of the body for now: the origin is slower than the client."""
        self._upload_held = True
        self.deadline = _NEVER
        self._pause_reading()

    def resume_upload(self) -> None:
        """Read on."""
        if self._upload_held:
            self._upload_held = False
            if self._state is _EXCHANGING:
                site = self._site
                site.watch.set(self, site.monotonic() + site.snapshot.limits.send_timeout)
            self._resume_reading()

    def _pause_reading(self) -> None:
        if not self._paused_reading and self._state is not _CLOSED:
            self._paused_reading = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._paused_reading and self._state is not _CLOSED:
            self._paused_reading = False
            self._transport.resume_reading()

    # What an exchange does.

    def write(self, data: Piece) -> None:
        """Send *data*; look at `has_room` before sending much."""
        if self._state is not _CLOSED:
            self._transport.write(data)

    def write_pieces(self, pieces: list[Piece]) -> None:
        """Send *pieces* in one go."""
        if self._state is not _CLOSED:
            self._transport.writelines(pieces)

    def finished(self, *, persistent: bool) -> None:
        """Note that the exchange is over and its answer sent."""
        self._exchange = None
        if self._state is _CLOSED:
            return
        if self._body is not None or not persistent or self._site.draining:
            # An upload that was answered early: what is left of it is no request.
            self._linger()
            return
        self._become_idle()

    def _become_idle(self) -> None:
        site = self._site
        limits = site.snapshot.limits
        if self.has_room:
            self._state = _IDLE
            site.watch.set(self, site.monotonic() + limits.idle_timeout)
        else:
            self._state = _FULL
            site.watch.set(self, site.monotonic() + limits.send_timeout)
        if self._paused_reading:
            self._resume_reading()
        if self._buffer and self._state is _IDLE:
            self._advance()

    def break_off(self) -> None:
        """Close at once, so that what was sent isn't taken for complete."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_left()
        elif self._flight is not None:
            self._flight.abandon()
        if self._state is not _CLOSED:
            self._transport.abort()

    def _linger(self) -> None:
        """Close, but let the client read the answer first (RFC 9112 section 9.6)."""
        self._state = State.LINGERING
        self._body = None
        self._buffer = b""
        site = self._site
        if self.half_closed:
            self._transport.close()
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        site.watch.set(self, site.monotonic() + _LINGER_SECONDS)
        self._resume_reading()

    def drain(self) -> None:
        """Close if nothing is being answered; else after that."""
        if self._state is _IDLE and self._active is None:
            # Its first request may be on its way: a client doesn't repeat that by itself.
            site = self._site
            site.watch.set(self, site.monotonic() + _FIRST_REQUEST_SECONDS)
        elif self._state in (State.IDLE, State.FULL):
            self._transport.close()
        elif self._exchange is not None:
            self._exchange.reply.persistent = False

    # A tunnel, after 101 (Switching Protocols).

    def open_tunnel(self) -> Upload:
        """Return what the client sends from now on, which is no HTTP any more."""
        upload = Upload(framing.UNTIL_CLOSE, self)
        self._tunnel = upload
        self._state = State.TUNNEL
        self.deadline = _NEVER
        if self._buffer:
            upload.feed(self._buffer)
            self._buffer = b""
        return upload

    def close_tunnel(self) -> None:
        """Close once all is sent."""
        self._exchange = None
        self._tunnel = None
        if self._state is not _CLOSED:
            self._transport.close()
