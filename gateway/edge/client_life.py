"""A client's connection between and beside its requests: its socket, its time, its end.

What its bytes mean is told in `connection.py`.
"""

import asyncio
import socket
import struct
from abc import abstractmethod
from enum import Enum
from http import HTTPStatus
from typing import cast

from gateway.edge.deliver import Reply
from gateway.edge.exchange import Exchange
from gateway.edge.fast_lane import FastLane
from gateway.edge.flight import Flight
from gateway.edge.limits import Pace, TooManyConnections, takes
from gateway.edge.refreshing import Refreshes
from gateway.edge.request_body import RequestBody
from gateway.edge.site import Site
from gateway.errors import MalformedRequest, RequestRefused
from gateway.origin.upload import Upload
from gateway.policy.ranges import Piece
from gateway.wire import framing

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger."""
_ROOM_BYTES = 512 * 1024
"""What may wait for a client to take it before its origin is held back."""
_FIRST_REQUEST_SECONDS = 1.0
"""For a client that has just connected when the worker is told to drain."""
_LINGER_SECONDS = 2.0


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
IDLE = State.IDLE
EXCHANGING = State.EXCHANGING
FULL = State.FULL
CLOSED = State.CLOSED
NEVER = float("inf")
REFUSED = b"refused"
"""The seat of a connection that was one too many; no address reads like that."""


class ClientLife(asyncio.Protocol):
    """The states of a connection that a client opened, and what takes it from one to the next."""

    multiplexed = False
    __slots__ = ("_active", "_advancing", "_body", "_buffer", "_exchange", "_flight", "_heads",
                 "_lane", "_lingered", "_pace", "_passes", "_paused_reading", "_peer",
                 "_refreshes", "_seat", "_secure", "_side_by_side", "_site", "_stamp", "_state",
                 "_transport", "_trusted", "_tunnel", "_unsent", "_upload_held", "address",
                 "deadline", "half_closed", "has_room", "watched_in")  # fmt: skip

    _transport: asyncio.Transport

    def __init__(
        self, site: Site, refreshes: Refreshes, lane: FastLane, address: bytes = b""
    ) -> None:
        """*address* is what a proxy announced; empty goes by the socket."""
        self._site = site
        self._refreshes = refreshes
        self._side_by_side = refreshes.fetches.side_by_side
        self._lane = lane
        self._heads = site.heads
        self._passes = site.passes.table
        self._stamp = site.stamp
        self._state = CLOSED
        self._buffer = b""
        self._exchange: Exchange | None = None
        self._flight: Flight | None = None
        self._body: RequestBody | None = None
        """The body that is still arriving."""
        self._tunnel: Upload | None = None
        self._upload_held = False
        self._paused_reading = False
        self._lingered = 0
        self._pace: Pace | None = None
        """Of the body that arrives, or arrived last."""
        self._unsent = 0
        """Bytes that waited for the client when its deadline was set; 0 when none was for that."""
        self._seat: bytes | None = None
        """By what this connection leaves the crowd; `REFUSED` when it never was in it."""
        self._active: bool | None = None
        """Whether a request came since the deadline was set; None before the first."""
        self._advancing = False
        self._secure = False
        self._trusted = False
        """Whether what its requests say about where they come from counts."""
        self._peer = b""
        """The address of whoever is connected, while `address` is that of who asks."""
        self.half_closed = False
        self.has_room = True
        self.address = address
        self.deadline = NEVER
        self.watched_in = 0

    @abstractmethod
    def _advance(self) -> None:
        """Answer what lies in the buffer, up to a request that has to wait."""

    @abstractmethod
    def _refuse(self, refused: RequestRefused) -> None:
        """Answer with an error and close."""

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (called by the event loop)."""
        # uvloop's transports implement asyncio.Transport without inheriting from it.
        self._transport = cast("asyncio.Transport", transport)
        transport = self._transport
        transport.set_write_buffer_limits(high=_ROOM_BYTES)
        peer = transport.get_extra_info("peername")
        if not self.address:
            # Else a proxy in front of us has announced whose connection this is.
            self.address = str(peer[0]).encode() if isinstance(peer, tuple) else b"unknown"
        site = self._site
        self._peer = self.address
        self._secure = transport.get_extra_info("ssl_object") is not None
        self._trusted = site.trusted.trusts(self.address)
        if self._secure or self._trusted:
            # Who asks, and how, isn't told by the bytes of a head alone.
            self._heads = site.no_heads
            self._passes = {}
        site.connections.add(self)
        site.counters.connections_open += 1
        site.counters.connections_accepted += 1
        self._state = IDLE
        limits = site.snapshot.limits
        try:
            self._seat = site.crowd.enter(self.address, limits, trusted=self._trusted)
        except TooManyConnections as refused:
            self._seat = REFUSED
            site.crowd.lingering += 1
            if site.crowd.may_linger:
                self._refuse(refused)
            else:
                self._transport.abort()
            return
        site.watch.set(self, site.monotonic() + limits.idle_timeout)

    def eof_received(self) -> bool:
        """Let a half-closed client have its answer (called by the event loop)."""
        if self._state is EXCHANGING and self._body is None:
            # RFC 9112 section 9.6: it may only have closed its sending side. We find out
            # when we write.
            exchange = self._exchange
            if exchange is not None:
                if exchange.endless:
                    # Whoever closes a stream of events is gone; the next may be long in coming.
                    return False
                exchange.reply.persistent = False
            self.half_closed = True
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Let go of everything (called by the event loop)."""
        self._state = CLOSED
        site = self._site
        site.watch.discard(self)
        site.backlog.discard(self)
        site.left(self)
        site.counters.connections_open -= 1
        if self._seat is REFUSED:
            site.crowd.lingering -= 1
        else:
            site.crowd.leave(self._seat)
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
        if self._state is IDLE:
            self._state = FULL
        self._unsent = self._transport.get_write_buffer_size()
        site.backlog.add(self, site.snapshot.limits.buffer_bytes)
        site.watch.set(self, site.monotonic() + site.snapshot.limits.send_timeout)

    def unsent(self) -> int:
        """Return how many bytes wait for the client to take them."""
        return self._transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """Go on (called by the event loop)."""
        self.has_room = True
        self._unsent = 0
        self._site.backlog.discard(self)
        if self._state is FULL:
            self._become_idle()
        elif self._exchange is not None:
            self.deadline = NEVER
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
                    self._unsent = 0
                    site.watch.set(self, now + limits.idle_timeout)
                elif not self._is_being_read(now):
                    self._end_unread()
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
            case State.FULL | State.LINGERING | State.EXCHANGING if self._is_being_read(now):
                pass
            case _:
                self._transport.abort()

    def _is_being_read(self, now: float) -> bool:
        """Return whether the client takes what waits for it fast enough; then it gets more time."""
        site = self._site
        limits = site.snapshot.limits
        unsent = self._transport.get_write_buffer_size()
        before, self._unsent = self._unsent, unsent
        if not unsent or (before and not takes(unsent, before, limits, limits.send_timeout)):
            return False
        site.watch.set(self, now + limits.send_timeout)
        return True

    def _end_unread(self) -> None:
        """Close; at once when something waits that nobody takes, or it would wait for ever."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()

    # What an exchange does.

    def reply(self, *, persistent: bool) -> Reply:
        """Return what an answer is given to."""
        return Reply(self, persistent=persistent)

    def write(self, data: Piece) -> None:
        """Send *data*; look at `has_room` before sending much."""
        if self._state is not CLOSED:
            self._transport.write(data)

    def write_pieces(self, pieces: list[Piece]) -> None:
        """Send *pieces* in one go."""
        if self._state is not CLOSED:
            self._transport.writelines(pieces)

    def finished(self, *, persistent: bool) -> None:
        """Note that the exchange is over and its answer sent."""
        self._exchange = None
        if self._state is CLOSED:
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
            self._state = IDLE
            site.watch.set(self, site.monotonic() + limits.idle_timeout)
        else:
            self._state = FULL
            site.watch.set(self, site.monotonic() + limits.send_timeout)
        if self._paused_reading:
            self._resume_reading()
        if self._buffer and self._state is IDLE:
            self._advance()

    def break_off(self) -> None:
        """Close at once, so that what was sent isn't taken for complete."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            if exchange.reply.ends_with_connection:
                self._end_with_reset()
            exchange.client_left()
        elif self._flight is not None:
            self._flight.abandon()
        if self._state is not CLOSED:
            self._transport.abort()

    def _end_with_reset(self) -> None:
        """Let the connection end with RST: to a client of HTTP/1.0, an orderly end is success."""
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

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
        if self._state is IDLE and self._active is None:
            # Its first request may be on its way: a client doesn't repeat that by itself.
            site = self._site
            site.watch.set(self, site.monotonic() + _FIRST_REQUEST_SECONDS)
        elif self._state in (State.IDLE, State.FULL):
            self._transport.close()
        elif self._exchange is not None:
            self._exchange.reply.persistent = False

    # The flow of a request's body.

    def pause_upload(self) -> None:
        """Read no more of the body for now: the origin is slower than the client."""
        self._upload_held = True
        self.deadline = NEVER
        if self._pace is not None:
            self._pace.hold(self._site.monotonic())
        self._pause_reading()

    def resume_upload(self) -> None:
        """Read on."""
        if self._upload_held:
            self._upload_held = False
            if self._state is EXCHANGING and self._pace is not None:
                site = self._site
                now = site.monotonic()
                self._pace.release(now)
                site.watch.set(self, self._pace.deadline(site.snapshot.limits, now))
            self._resume_reading()

    def _pause_reading(self) -> None:
        if not self._paused_reading and self._state is not CLOSED:
            self._paused_reading = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._paused_reading and self._state is not CLOSED:
            self._paused_reading = False
            self._transport.resume_reading()

    # A tunnel, after 101 (Switching Protocols).

    def open_tunnel(self) -> Upload:
        """Return what the client sends from now on, which is no HTTP any more."""
        upload = Upload(framing.UNTIL_CLOSE, self)
        self._tunnel = upload
        self._state = State.TUNNEL
        self.deadline = NEVER
        if self._buffer:
            upload.feed(self._buffer)
            self._buffer = b""
        return upload

    def close_tunnel(self) -> None:
        """Close once all is sent."""
        self._exchange = None
        self._tunnel = None
        if self._state is not CLOSED:
            self._transport.close()
