"""One request on its way to an origin, over one attempt or two.

A request that can be repeated is sent again, once, when a kept connection turns out to have
died before it said anything: the endpoint had closed it while we wrote.
"""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from gateway.clock import Watch
from gateway.counters import Counters
from gateway.errors import (
    ExchangeFailed,
    GatewayError,
    OriginBusy,
    OriginHungUp,
    OriginTooSlow,
    ResponseTruncated,
)
from gateway.origin.connection import OriginConnection, ResponseTaker
from gateway.origin.settings import OriginSettings, Timeouts
from gateway.origin.upload import Upload
from gateway.wire.fields import Fields
from gateway.wire.framing import Framing, Sized
from gateway.wire.message import ResponseHead

_REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS"})
"""Methods sent again on a stale connection. PUT and DELETE are idempotent too (RFC 9110
section 9.2.2), but we can't tell whether the endpoint acted before it hung up."""


class Lender(Protocol):
    """What a request needs of the pool it borrows from."""

    settings: OriginSettings
    watch: Watch
    counters: Counters
    monotonic: Callable[[], float]

    def submit(self, request: "OriginRequest", now: float) -> None:
        """Attach a connection to *request* now or later, or let it give up."""


class Elsewhere(Protocol):
    """Knows whether and where a request may be tried again, and keeps account of endpoints."""

    def again(self, tried: Lender, method: bytes, now: float, *, reached: bool) -> Lender | None:
        """Return who should try next, after *tried* has failed; None for nobody.

        *reached* when the endpoint may have begun to act on it.
        """

    def fails(self, tried: Lender, error: GatewayError, now: float) -> None:
        """Take note that *tried* has failed with *error*."""

    def answers(self, tried: Lender, status: int, now: float) -> bool:
        """Take note that *tried* has answered with *status*; True if that counts as a failure."""


class _Phase(Enum):
    WAITING = "waiting for a connection"
    SENDING = "sending the body"
    HEAD = "waiting for the response head"
    BODY = "receiving the body"
    TUNNEL = "passing bytes both ways"
    OVER = "over"


# An attribute of an Enum class takes a detour of 60 ns in CPython 3.11.
_WAITING = _Phase.WAITING
_SENDING = _Phase.SENDING
_HEAD = _Phase.HEAD
_BODY = _Phase.BODY
_TUNNEL = _Phase.TUNNEL
_OVER = _Phase.OVER


class OriginRequest:
    """Forwards one request and hands what comes back to its taker."""

    __slots__ = ("_attempts", "_connection", "_elsewhere", "_head", "_heard_interim",
                 "_lender", "_method", "_paused", "_phase", "_started", "_taker", "_timeouts",
                 "_total", "_upload", "deadline", "repeatable", "repeated",
                 "watched_in")  # fmt: skip

    def __init__(
        self,
        lender: Lender,
        method: bytes,
        head: bytes,
        upload: Upload | None,
        taker: ResponseTaker,
        now: float,
        timeouts: Timeouts | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Begin at *now* (monotonic seconds); without *timeouts* the origin's hold."""
        self._lender = lender
        self._elsewhere = elsewhere
        self._attempts = 1
        self._method = method
        self._head = head
        self._upload = upload
        self._taker = taker
        self._connection: OriginConnection | None = None
        self._phase = _WAITING
        self.repeatable = upload is None and method in _REPEATABLE
        """Whether it can be sent again when a kept connection turns out dead."""
        self.repeated = False
        """It was sent once already, over a kept connection that turned out dead."""
        self._heard_interim = False
        self._paused = False
        self._started = now
        self._timeouts = lender.settings.timeouts if timeouts is None else timeouts
        self._total = now + self._timeouts.total
        self.deadline = self._total
        self.watched_in = 0

    # What the exchange asks for.

    def pause(self) -> None:
        """Let no more of the response come for now."""
        self._paused = True
        self.deadline = float("inf")
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """Let the response flow again."""
        if not self._paused:
            return
        self._paused = False
        if self._phase is _BODY:
            self._watch(self._timeouts.between_bytes)
        if self._connection is not None:
            self._connection.resume()

    def abandon(self) -> None:
        """Close the connection: nobody wants the response any more."""
        connection, self._connection = self._connection, None
        self._end()
        if connection is not None:
            connection.close()

    def open_tunnel(self, upload: Upload) -> None:
        """Pass *upload* on as it is: after a 101 both sides speak what they agreed on."""
        self._phase = _TUNNEL
        self.deadline = float("inf")
        self._upload = upload
        if self._connection is not None:
            self._connection.open_tunnel(upload)
            upload.attach(self)

    # What the pool asks and does.

    @property
    def over(self) -> bool:
        """Whether nothing is waited for any more."""
        return self._phase is _OVER

    def queued(self) -> None:
        """Wait in turn for a connection, not longer than opening one may take."""
        self._watch(self._timeouts.connect)

    def attach(self, connection: OriginConnection, now: float) -> None:
        """Send the request over *connection* at *now* (monotonic seconds)."""
        self._connection = connection
        timeouts = self._timeouts
        upload = self._upload
        if upload is None:
            self._phase = _HEAD
            self._lender.watch.set(self, min(now + timeouts.first_byte, self._total))
            connection.begin(self._method, self._head, self, None)
            return
        self._phase = _SENDING
        self._watch(timeouts.between_bytes)
        connection.begin(self._method, self._head, self, upload)
        upload.attach(self)

    def adopt(self, connection: OriginConnection) -> None:
        """Go on with a request that was sent over *connection* by somebody else."""
        self._connection = connection
        self._phase = _HEAD
        self.repeatable = False
        self._watch(self._timeouts.first_byte)
        connection.hand_to(self)

    def give_up(self, error: GatewayError) -> None:
        """Tell the taker that no complete response will come."""
        phase = self._phase
        if phase is _OVER:
            return
        lender = self._lender
        reason = error.reason if isinstance(error, ExchangeFailed) else "truncated"
        lender.counters.origin_failures[lender.settings.name][reason] += 1
        elsewhere = self._elsewhere
        if elsewhere is not None:
            elsewhere.fails(lender, error, lender.monotonic())
            if (phase is _WAITING or phase is _HEAD) and not isinstance(error, OriginTooSlow):
                next_lender = self._next(elsewhere, reached=phase is not _WAITING)
                if next_lender is not None:
                    self._try(next_lender)
                    return
        self._end()
        self._taker.take_failure(error)

    def _next(self, elsewhere: Elsewhere, *, reached: bool) -> Lender | None:
        """Return who tries next; None when enough was tried, or too much of it is gone."""
        now = self._lender.monotonic()
        if self._attempts >= self._lender.settings.retry.attempts or now >= self._total:
            return None
        if reached and (self._upload is not None or self._heard_interim):
            return None
        return elsewhere.again(self._lender, self._method, now, reached=reached)

    def _try(self, lender: Lender) -> None:
        self._attempts += 1
        self._phase = _WAITING
        self._lender.watch.discard(self)
        self._lender = lender
        lender.submit(self, lender.monotonic())

    # Time.

    def _watch(self, seconds: float) -> None:
        deadline = self._lender.monotonic() + seconds
        if self._phase is not _BODY:
            deadline = min(deadline, self._total)
        self._lender.watch.set(self, deadline)

    def expire(self, now: float) -> None:
        """Give up: the present phase took too long."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        timeouts = self._timeouts
        error: GatewayError
        match self._phase:
            case _Phase.WAITING:
                error = OriginBusy("no connection became free in time")
            case _Phase.SENDING:
                error = OriginTooSlow("took nothing of the request's body for too long")
            case _Phase.HEAD:
                error = OriginTooSlow(f"sent no response head within {now - self._started:.1f} s")
            case _Phase.BODY | _Phase.TUNNEL | _Phase.OVER:
                error = ResponseTruncated(f"paused for {timeouts.between_bytes:g} s in the body")
        self.give_up(error)

    def _end(self) -> None:
        self._phase = _OVER
        self._lender.watch.discard(self)
        if self._upload is not None:
            self._upload.detach()

    # The body's way: from the upload to the connection.

    def write_body(self, data: bytes) -> None:
        """Send bytes of the request's body, already framed."""
        if self._connection is None:
            return
        if self._phase is _SENDING:
            # A large upload may take its time as long as it moves: `total` starts after it.
            timeouts = self._timeouts
            now = self._lender.monotonic()
            self._total = now + timeouts.total
            self.deadline = now + timeouts.between_bytes
        self._connection.write_body(data)

    def body_ended(self) -> None:
        """Expect the head now: the request was sent in full."""
        if self._connection is None:
            return
        self._connection.body_ended()
        if self._phase is _SENDING:
            self._phase = _HEAD
            self._watch(self._timeouts.first_byte)

    # The response's way: from the connection to the taker.

    def take_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx response on."""
        self._heard_interim = True
        self._taker.take_interim(head)

    def take_whole(self, head: ResponseHead, body: Sized, data: bytes) -> None:
        """Pass a complete response on."""
        lender = self._lender
        if self._elsewhere is not None and self._fails_by(head.status):
            return
        lender.counters.origin_latency[lender.settings.name].observe(
            lender.monotonic() - self._started
        )
        self._connection = None
        self._phase = _OVER
        lender.watch.discard(self)
        if self._upload is not None:
            self._upload.detach()
        self._taker.take_whole(head, body, data)

    def take_head(self, head: ResponseHead, body: Framing) -> None:
        """Pass the response head on."""
        if self._elsewhere is not None and self._fails_by(head.status):
            return
        self._phase = _BODY
        lender = self._lender
        now = lender.monotonic()
        deadline = now + self._timeouts.between_bytes
        if deadline < self.deadline:
            # Nearer than the watch knows: it would look seconds too late.
            lender.watch.set(self, deadline)
        self.deadline = deadline
        lender.counters.origin_latency[lender.settings.name].observe(now - self._started)
        self._taker.take_head(head, body)

    def _fails_by(self, status: int) -> bool:
        """Try again if *status* is one after which that may help; True when it is tried."""
        elsewhere = self._elsewhere
        assert elsewhere is not None
        if not elsewhere.answers(self._lender, status, self._lender.monotonic()):
            return False
        if self._phase is not _HEAD:
            return False
        lender = self._next(elsewhere, reached=True)
        if lender is None:
            return False
        connection, self._connection = self._connection, None
        if connection is not None and not connection.usable:
            connection.close()
        self._try(lender)
        return True

    def take_piece(self, data: bytes) -> None:
        """Pass some of the body on."""
        if not self._paused and self._phase is _BODY:
            lender = self._lender
            self.deadline = lender.monotonic() + self._timeouts.between_bytes
        self._taker.take_piece(data)

    def take_break(self) -> None:
        """Pass on that no more has come for now."""
        self._taker.take_break()

    def take_end(self, trailers: Fields) -> None:
        """Pass the end on."""
        self._connection = None
        self._end()
        self._taker.take_end(trailers)

    def take_failure(self, error: GatewayError) -> None:
        """Try once more when a kept connection was dead; else pass the failure on."""
        connection, self._connection = self._connection, None
        stale = (
            isinstance(error, OriginHungUp)
            and connection is not None
            and connection.exchanges > 1
            and not connection.heard
        )
        if stale and self.repeatable:
            self.repeatable = False
            self.repeated = True
            self._phase = _WAITING
            self._lender.submit(self, self._lender.monotonic())
        else:
            self.give_up(error)
