"""A pass that is known from its head to its answer: forwarded at once, sent on at once.

Of most passes a moment later comes the same again: the same head from a client, the same
head from the origin. Then nothing is left to decide, and one object for each client's
connection carries its requests, one after the other. As soon as something is out of the
ordinary (a body in several pieces, another head, a failure), the exchange that would have been
made at once is made after all and takes over.
"""

from typing import Protocol

from gateway.edge.exchange import Exchange
from gateway.edge.passes import RepeatedPass
from gateway.edge.site import Site
from gateway.errors import GatewayError, OriginHungUp, OriginTooSlow
from gateway.origin.connection import OriginConnection
from gateway.origin.pool import OriginPool
from gateway.origin.request import OriginRequest
from gateway.wire.fields import Fields
from gateway.wire.framing import Framing, Sized
from gateway.wire.message import ResponseHead

_NEVER = float("inf")
_CLIENT_CLOSED_REQUEST = 4
"""The class of status 499, for clients that left."""


class FlyingClient(Protocol):
    """The client's connection, as a flight sees it."""

    half_closed: bool
    """Whether the client sends no more, so that the connection ends with this answer."""

    def write(self, data: bytes) -> None:
        """Send *data*."""

    def landed(self) -> None:
        """Note that the answer is sent; the connection goes on."""

    def exchange_for(self, passed: RepeatedPass) -> Exchange:
        """Return an exchange that answers the request in the flight's place."""


class Flight:
    """Carries the repeated passes of one client's connection."""

    __slots__ = ("_client", "_connection", "_passed", "_site", "_started", "deadline",
                 "watched_in")  # fmt: skip

    def __init__(self, site: Site, client: FlyingClient) -> None:
        self._site = site
        self._client = client
        self._passed: RepeatedPass | None = None
        self._connection: OriginConnection | None = None
        self._started = 0.0
        self.deadline = _NEVER
        self.watched_in = 0

    def begin(self, passed: RepeatedPass, connection: OriginConnection, now: float) -> None:
        """Forward *passed* over *connection*, lent by its pool, at *now* (monotonic)."""
        site = self._site
        self._passed = passed
        self._connection = connection
        self._started = now
        site.counters.exchanges_running += 1
        site.watch.set(self, now + passed.patience)
        connection.begin(passed.head.method, passed.forwarded, self, None)

    def abandon(self) -> None:
        """Want the answer no more: the client has left."""
        passed = self._passed
        if passed is not None:
            site = self._site
            connection = self._end()
            connection.close()
            route = passed.asked.route
            site.counters.requests[route.name, passed.labels[1], _CLIENT_CLOSED_REQUEST] += 1
        self._site.watch.discard(self)

    def _end(self) -> OriginConnection:
        connection = self._connection
        assert connection is not None
        self._passed = None
        self._connection = None
        self.deadline = _NEVER
        self._site.counters.exchanges_running -= 1
        return connection

    # A ResponseTaker: what comes from the origin.

    def take_whole(self, head: ResponseHead, body: Sized, data: bytes) -> None:
        """Send on what came in one go."""
        passed = self._passed
        assert passed is not None
        site = self._site
        client = self._client
        now = site.monotonic()
        passed.latencies.observe(now - self._started)
        if passed.pool.chooses:
            passed.pool.answered(self._connection, head.status, now)
        # Identity: the origin's connection knows heads that it has read before.
        if (
            passed.response is head
            and passed.stamp == site.stamp.value
            and not site.draining
            and not client.half_closed
        ):
            passed.hits += 1
            passed.body_bytes += len(data)
            self._passed = None
            self._connection = None
            self.deadline = _NEVER
            site.counters.exchanges_running -= 1
            client.write(passed.answer_head + data)
            client.landed()
            return
        self._end()
        self._exchange(passed).take_whole(head, body, data)

    def take_interim(self, head: ResponseHead) -> None:
        """Let an exchange take over: more is to come."""
        self._hand_over().take_interim(head)

    def take_head(self, head: ResponseHead, body: Framing) -> None:
        """Let an exchange take over: the body comes in pieces."""
        self._hand_over().take_head(head, body)

    def take_piece(self, data: bytes) -> None:
        """Take nothing: an exchange has taken over."""

    def take_break(self) -> None:
        """Take nothing: an exchange has taken over."""

    def take_end(self, trailers: Fields) -> None:
        """Take nothing: an exchange has taken over."""

    def take_failure(self, error: GatewayError) -> None:
        """Ask once more when a kept connection was dead; else let an exchange say what failed."""
        passed = self._passed
        assert passed is not None
        connection = self._end()
        exchange = self._exchange(passed)
        if isinstance(error, OriginHungUp) and not connection.heard:
            exchange.start_again(passed, repeated=True)
            return
        passed.pool.count_failure(connection, error)
        if passed.pool.tries_again(passed.head.method, self._site.monotonic()):
            exchange.start_again(passed, repeated=True)
        else:
            exchange.take_failure(error)

    def expire(self, now: float) -> None:
        """Give up: the origin says nothing."""
        passed = self._passed
        if passed is None:
            return
        waited = now - self._started
        connection = self._end()
        connection.close()
        error = OriginTooSlow(f"sent no response head within {waited:.1f} s")
        passed.pool.count_failure(connection, error)
        self._exchange(passed).take_failure(error)

    def _hand_over(self) -> OriginRequest:
        passed = self._passed
        assert passed is not None
        connection = self._end()
        exchange = self._exchange(passed)
        keeper = connection.keeper
        assert isinstance(keeper, OriginPool)
        request = OriginRequest(
            keeper,
            passed.head.method,
            passed.forwarded,
            None,
            exchange,
            self._started,
            passed.timeouts,
        )
        request.adopt(connection)
        exchange.take_over(request)
        return request

    def _exchange(self, passed: RepeatedPass) -> Exchange:
        exchange = self._client.exchange_for(passed)
        exchange.resume(passed, self._started)
        return exchange
