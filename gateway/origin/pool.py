"""Connections to one endpoint: lent out, kept for the next, never more than agreed.

The one used last is lent first, so that the others grow old and are closed. A request waits
in turn when all are in use, and not for long.
"""

import asyncio
import math
import ssl
from collections import deque
from collections.abc import Callable
from functools import lru_cache

from gateway.background import Background
from gateway.clock import TimeLimit, Watch
from gateway.counters import Counters
from gateway.errors import (
    ExchangeFailed,
    GatewayError,
    OriginBusy,
    OriginConnectTimeout,
    OriginUnreachable,
)
from gateway.origin.connection import OriginConnection, ResponseTaker
from gateway.origin.request import Elsewhere, OriginRequest
from gateway.origin.settings import Endpoint, OriginSettings, Timeouts, Tls
from gateway.origin.upload import Upload
from gateway.resilience.health import EndpointHealth

_IDLE_SECONDS = 30.0
"""A connection kept for longer isn't worth the risk that the endpoint has closed it."""
_LIFE_SECONDS = 300.0
"""After that a connection is closed when it is free, so that a name that leads elsewhere by now
is followed."""
_FRESH_SECONDS = 1.0
"""How recently a kept connection must have been used to carry what can't be repeated."""


class OriginPool:
    """The connections of this worker to one endpoint of an origin."""

    def __init__(
        self,
        settings: OriginSettings,
        endpoint: Endpoint,
        watch: Watch,
        counters: Counters,
        background: Background,
        monotonic: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.endpoint = endpoint
        self.watch = watch
        self.counters = counters
        self.monotonic = monotonic
        self.health = EndpointHealth(settings.judgement)
        self._tls = _tls_context(settings.tls) if endpoint.tls else None
        self._background = background
        self._idle: list[OriginConnection] = []
        self._open = 0
        self._waiting: deque[OriginRequest] = deque()
        self.retired = False
        """Whether the rules name this endpoint no longer."""

    def authority(self, asked_for: bytes) -> bytes:
        """Return the Host to send to a client that asked for *asked_for*."""
        if self.settings.host is not None:
            return self.settings.host.encode()
        # An HTTP/1.0 client may name no host; then the endpoint's own name has to do.
        return asked_for or self.endpoint.authority

    @property
    def load(self) -> int:
        """Requests that it has now, those that wait for a connection included."""
        return self._open - len(self._idle) + len(self._waiting)

    def lend(self, now: float) -> OriginConnection | None:
        """Return a kept connection for a request that can be repeated; None if there is none.

        It comes back by itself: to `release` after a clean end, else to `closed`.
        """
        idle = self._idle
        if idle:
            connection = idle[-1]
            if connection.usable and connection.idle_since >= now - _IDLE_SECONDS:
                return idle.pop()
        return None

    def count_failure(self, error: GatewayError) -> None:
        """Count an exchange that failed."""
        reason = error.reason if isinstance(error, ExchangeFailed) else "truncated"
        self.counters.origin_failures[self.settings.name][reason] += 1

    def request(
        self,
        method: bytes,
        head: bytes,
        upload: Upload | None,
        taker: ResponseTaker,
        *,
        repeated: bool = False,
        timeouts: Timeouts | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> OriginRequest:
        """Forward a request; *taker* hears what comes back, or why nothing does.

        *repeated* when it was sent once already, over a kept connection that was dead.
        *timeouts* are this request's own; None leaves the origin's. *elsewhere* knows where it
        may be tried again; None tries nowhere.
        """
        now = self.monotonic()
        request = OriginRequest(self, method, head, upload, taker, now, timeouts, elsewhere)
        if repeated:
            request.repeated = True
            request.repeatable = False
        self.submit(request, now)
        return request

    def submit(self, request: OriginRequest, now: float) -> None:
        """Attach a connection to *request* now or later, or let it give up.

        *now* is in monotonic seconds.
        """
        idle = self._idle
        oldest = now - (_IDLE_SECONDS if request.repeatable else _FRESH_SECONDS)
        if request.repeated:
            # An endpoint that was reloaded closed all that we keep; only a new one is sure.
            oldest = math.inf
        while idle:
            connection = idle[-1]
            if connection.usable and connection.idle_since >= oldest:
                idle.pop()
                request.attach(connection, now)
                return
            if connection.usable and not request.repeatable:
                break
            idle.pop()
            connection.close()
        if self._open < self.settings.max_connections:
            self._open += 1
            self.counters.origin_connections_open += 1
            self._background.spawn(self._connect(request))
        elif self._idle:
            # Full of connections too old for this request: exchange one for a new one.
            self._idle.pop(0).close()
            self._queue(request)
        else:
            self._queue(request)

    def _queue(self, request: OriginRequest) -> None:
        if len(self._waiting) >= self.settings.max_waiting:
            # Who gave up or whose client left takes no place.
            self._waiting = deque(each for each in self._waiting if not each.over)
        if len(self._waiting) >= self.settings.max_waiting:
            request.give_up(OriginBusy("every connection is in use and the queue is full"))
            return
        request.queued()
        self._waiting.append(request)

    def _next_waiting(self) -> OriginRequest | None:
        while self._waiting:
            request = self._waiting.popleft()
            if not request.over:
                return request
        return None

    async def _connect(self, request: OriginRequest) -> None:
        timeouts = self.settings.timeouts
        connection = OriginConnection(self)
        connection.until = self.monotonic() + _LIFE_SECONDS
        try:
            async with asyncio.timeout(None) as timeout:
                limit = TimeLimit(timeout)
                self.watch.set(limit, self.monotonic() + timeouts.connect)
                try:
                    await self._open_connection(connection)
                finally:
                    self.watch.discard(limit)
        except TimeoutError:
            self._forget_one()
            request.give_up(OriginConnectTimeout(f"no connection within {timeouts.connect:g} s"))
            return
        except ssl.SSLError as error:
            self._forget_one()
            refused = OriginUnreachable(f"failed the TLS handshake: {_tls_reason(error)}")
            refused.__cause__ = error
            request.give_up(refused)
            return
        except (OSError, UnicodeError) as error:
            # UnicodeError: a name that can't be asked for, such as one with a label too long.
            self._forget_one()
            unreachable = OriginUnreachable(_plainly(error))
            unreachable.__cause__ = error
            request.give_up(unreachable)
            return
        except asyncio.CancelledError:
            self._forget_one()
            raise
        if request.over:
            self.release(connection)
        else:
            request.attach(connection, self.monotonic())

    async def _open_connection(self, connection: OriginConnection) -> None:
        loop = asyncio.get_running_loop()
        endpoint = self.endpoint
        if endpoint.path:
            await loop.create_unix_connection(lambda: connection, endpoint.path)
            return
        # The name is looked up each time: it may lead elsewhere by now.
        await loop.create_connection(
            lambda: connection,
            endpoint.host,
            endpoint.port,
            ssl=self._tls,
            server_hostname=None if self._tls is None else self.settings.tls.name or endpoint.host,
        )

    def release(self, connection: OriginConnection) -> None:
        """Take back a connection that can carry another exchange."""
        now = self.monotonic()
        if now > connection.until and not self._waiting:
            connection.close()
            return
        if self._waiting:
            request = self._next_waiting()
            if request is not None:
                request.attach(connection, now)
                return
        if self.retired:
            connection.close()
            return
        connection.idle_since = now
        self._idle.append(connection)

    def closed(self, connection: OriginConnection) -> None:
        """Forget a connection, and open another if somebody waits for one."""
        if connection in self._idle:
            self._idle.remove(connection)
        self._forget_one()

    def _forget_one(self) -> None:
        self._open -= 1
        self.counters.origin_connections_open -= 1
        request = self._next_waiting()
        if request is not None:
            self._open += 1
            self.counters.origin_connections_open += 1
            self._background.spawn(self._connect(request))

    def close_idle(self, older_than: float | None = None) -> None:
        """Close kept connections: those unused for *older_than* seconds, or all."""
        oldest = self.monotonic() - (-1.0 if older_than is None else older_than)
        keep: list[OriginConnection] = []
        for connection in self._idle:
            if connection.idle_since < oldest:
                connection.close()
            else:
                keep.append(connection)
        self._idle = keep

    def retire(self) -> None:
        """Keep no connections any more: the rules name this endpoint no longer."""
        self.retired = True
        self.close_idle()

    def sweep(self) -> None:
        """Close connections that were kept for too long; called now and then."""
        self.close_idle(_IDLE_SECONDS)


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate isn't good: {error.verify_message}"
    return (error.reason or str(error)).lower().replace("_", " ")


@lru_cache(maxsize=64)
def _tls_context(settings: Tls) -> ssl.SSLContext:
    """Return what connections to https endpoints are made with; OSError for a bad *ca*."""
    context = ssl.create_default_context(cafile=settings.ca)
    context.set_alpn_protocols(["http/1.1"])
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _plainly(error: OSError | UnicodeError) -> str:
    """Return what an error of the operating system means, without its number."""
    if isinstance(error, UnicodeError):
        return "has a name that no host can have"
    if isinstance(error, ConnectionRefusedError):
        return "refused the connection"
    return (error.strerror or str(error) or type(error).__name__).lower()
