"""Asking an endpoint now and then whether it is well.

A check is a request like any other, over the endpoint's own connections, so that it finds
what clients would find. Each worker asks for itself: what one reaches another may not.
"""

import logging

from gateway.errors import GatewayError
from gateway.origin.pool import OriginPool
from gateway.origin.settings import HealthCheck, Timeouts
from gateway.wire.fields import Fields
from gateway.wire.framing import Framing, Sized
from gateway.wire.message import ResponseHead

_log = logging.getLogger("gateway.origin")

_SPREAD = 0.2
"""The share of the interval by which chance shifts the next check."""


class Check:
    """The checks of one endpoint."""

    __slots__ = ("_head", "_pool", "_running", "_settings", "_timeouts", "due")

    def __init__(self, pool: OriginPool, settings: HealthCheck, now: float, chance: float) -> None:
        self._pool = pool
        self._settings = settings
        self._head = b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: gateway-check\r\n\r\n" % (
            settings.path.encode("ascii"),
            pool.authority(b""),
        )
        limit = settings.timeout
        self._timeouts = Timeouts(limit, limit, limit, limit)
        self._running = False
        self.due = now + settings.interval * _SPREAD * chance
        """Monotonic seconds."""

    def tick(self, now: float, chance: float) -> None:
        """Ask, if it is time and nothing is under way."""
        if now < self.due or self._running:
            return
        self.due = now + self._settings.interval * (1.0 - _SPREAD * chance)
        self._running = True
        self._pool.request(b"GET", self._head, None, self, timeouts=self._timeouts)

    def _judge(self, *, well: bool, why: str) -> None:
        self._running = False
        pool = self._pool
        if pool.health.checked(pool.monotonic(), well=well):
            state = "is well again" if well else f"is unhealthy ({why}) and gets no requests"
            _log.warning("origin %s: %s %s", pool.settings.name, pool.endpoint, state)

    # A ResponseTaker: only the status counts.

    def take_whole(self, head: ResponseHead, body: Sized, data: bytes) -> None:  # noqa: ARG002
        """Judge by a complete answer."""
        self._judge(well=200 <= head.status < 400, why=f"answers {head.status}")

    def take_interim(self, head: ResponseHead) -> None:
        """Wait for the final response."""

    def take_head(self, head: ResponseHead, body: Framing) -> None:  # noqa: ARG002
        """Judge by the head; the rest is read for the connection's sake."""
        self._judge(well=200 <= head.status < 400, why=f"answers {head.status}")

    def take_piece(self, data: bytes) -> None:
        """Forget it."""

    def take_break(self) -> None:
        """Hold nothing back."""

    def take_end(self, trailers: Fields) -> None:
        """Be content."""

    def take_failure(self, error: GatewayError) -> None:
        """Judge by what went wrong, unless the head had told already."""
        if self._running:
            self._judge(well=False, why=str(error))
