"""One origin: its endpoints, which of them gets a request, and which are left alone.

With a single endpoint there is nothing to choose. With several, those that failed or don't
answer their checks get nothing for a while; when none is left, all are tried after all, unless
the rules would rather have requests refused at once.
"""

import logging
from collections.abc import Callable

from gateway.background import Background
from gateway.clock import Watch
from gateway.counters import Counters
from gateway.errors import ExchangeFailed, GatewayError, OriginBusy, OriginDown
from gateway.origin import balance
from gateway.origin.checking import Check
from gateway.origin.connection import OriginConnection, ResponseTaker
from gateway.origin.pool import OriginPool
from gateway.origin.request import Lender, OriginRequest
from gateway.origin.settings import OriginSettings, Timeouts
from gateway.origin.upload import Upload
from gateway.resilience.budget import RetryBudget

_log = logging.getLogger("gateway.origin")

_FAILING_STATUSES = frozenset({502, 503, 504})
"""What an endpoint says that can't do its work; 500 is a fault in what it was asked for."""


class _Member:
    """An endpoint in the eyes of a balance; see `balance.Candidate`."""

    __slots__ = ("check", "name", "pool", "turn", "weight")

    def __init__(self, pool: OriginPool) -> None:
        self.pool = pool
        self.name = str(pool.endpoint).encode()
        self.weight = float(pool.endpoint.weight)
        self.turn = 0.0
        self.check: Check | None = None

    @property
    def load(self) -> int:
        """Requests that it has now."""
        return self.pool.load


class Origin:
    """The endpoints of one origin, in one worker."""

    def __init__(
        self,
        settings: OriginSettings,
        watch: Watch,
        counters: Counters,
        background: Background,
        monotonic: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self.settings = settings
        self._counters = counters
        self._monotonic = monotonic
        self._chance = chance
        self._members = [
            _Member(OriginPool(settings, endpoint, watch, counters, background, monotonic))
            for endpoint in settings.endpoints
        ]
        self._only = (
            self._members[0].pool
            if len(self._members) == 1 and not settings.refuses_at_once
            else None
        )
        self._choose = balance.WAYS[settings.balance]
        self._budget = RetryBudget(settings.retry.budget)
        self._picked: OriginPool | None = None
        """Chosen for the request that is about to come."""
        self.retired = False
        """Whether the rules name this origin no longer, or otherwise."""
        if settings.health is not None:
            now = monotonic()
            for member in self._members:
                member.check = Check(member.pool, settings.health, now, chance())

    @property
    def chooses(self) -> bool:
        """Whether there is a choice, so that it matters how endpoints answer."""
        return self._only is None

    def authority(self, asked_for: bytes) -> bytes:
        """Return the Host to send to a client that asked for *asked_for*."""
        return self._members[0].pool.authority(asked_for)

    def lend(self, now: float, asked: bytes) -> OriginConnection | None:
        """Return a kept connection for a request that can be repeated; None if there is none.

        *asked* tells requests apart, where the same ones go to the same endpoint.
        """
        pool = self._only
        if pool is None:
            if self.settings.retry.statuses:
                # Who is lent a connection passes on whatever comes.
                return None
            pool = self._pick(now, asked)
            if pool is None:
                return None
            connection = pool.lend(now)
            # Whoever got none asks for a new one at once: that is one choice, not two.
            self._picked = pool if connection is None else None
            return connection
        return pool.lend(now)

    def request(
        self,
        method: bytes,
        head: bytes,
        upload: Upload | None,
        taker: ResponseTaker,
        *,
        repeated: bool = False,
        timeouts: Timeouts | None = None,
    ) -> OriginRequest:
        """Forward a request; arguments as of `OriginPool.request`."""
        pool = self._only
        now = self._monotonic()
        if pool is None:
            pool, self._picked = self._picked, None
            if pool is None:
                pool = self._pick(now, head.partition(b"\r\n")[0])
            if pool is None:
                pool = self._members[0].pool
                refused = OriginRequest(pool, method, head, upload, taker, now, timeouts)
                refused.give_up(OriginDown("no endpoint of it is well"))
                return refused
        if self.settings.retry.attempts > 1:
            self._budget.requested(now)
        return pool.request(
            method,
            head,
            upload,
            taker,
            repeated=repeated,
            timeouts=timeouts,
            elsewhere=self if self._only is None or self.settings.retry.attempts > 1 else None,
        )

    def _pick(self, now: float, asked: bytes, tried: Lender | None = None) -> OriginPool | None:
        """Return the endpoint for a request; None when it is to be refused."""
        well = [member for member in self._members if member.pool.health.admits(now)]
        if not well:
            if self.settings.refuses_at_once:
                return None
            well = self._members
        others = [member for member in well if member.pool is not tried]
        candidates = others or well
        for member in candidates:
            member.weight = member.pool.endpoint.weight * member.pool.health.share(now)
        chosen = candidates[self._choose(candidates, asked, self._chance)].pool
        chosen.health.chosen(now)
        return chosen

    # Elsewhere: what requests ask when they fail.

    def again(self, tried: Lender, method: bytes, now: float, *, reached: bool) -> Lender | None:
        """Return who should try next, after *tried* has failed; None for nobody."""
        retry = self.settings.retry
        if reached and method not in retry.methods:
            return None
        if not self._budget.spend(now):
            return None
        self._counters.origin_retries[self.settings.name] += 1
        return self._pick(now, b"", tried)

    def fails(self, tried: Lender, error: GatewayError, now: float) -> None:
        """Take note that *tried* has failed with *error*."""
        if not isinstance(tried, OriginPool) or isinstance(error, OriginBusy | OriginDown):
            return
        if tried.health.failed(now, self._chance()):
            pause = tried.health.ejected_until - now
            _log.warning(
                "origin %s: %s failed %d times in a row (%s) and is left alone for %.0f s",
                self.settings.name,
                tried.endpoint,
                tried.health.failures,
                error,
                pause,
            )

    def answers(self, tried: Lender, status: int, now: float) -> bool:
        """Take note that *tried* has answered with *status*; True if that counts as a failure."""
        if isinstance(tried, OriginPool):
            health = tried.health
            if status in _FAILING_STATUSES and len(self._members) > 1:
                health.failed(now, self._chance())
            elif health.failures or health.ejected_until:
                health.succeeded(now)
        return status in self.settings.retry.statuses

    def answered(self, connection: OriginConnection | None, status: int, now: float) -> None:
        """Take note of an answer over a *connection* that was lent."""
        if connection is not None and isinstance(connection.keeper, OriginPool):
            self.answers(connection.keeper, status, now)

    def tries_again(self, method: bytes, now: float) -> bool:
        """Return whether a request over a connection that was lent is tried again."""
        retry = self.settings.retry
        if retry.attempts < 2 or method not in retry.methods or not self._budget.spend(now):
            return False
        self._counters.origin_retries[self.settings.name] += 1
        return True

    def count_failure(self, connection: OriginConnection, error: GatewayError) -> None:
        """Count an exchange over *connection* that failed."""
        reason = error.reason if isinstance(error, ExchangeFailed) else "truncated"
        self._counters.origin_failures[self.settings.name][reason] += 1
        keeper = connection.keeper
        if isinstance(keeper, OriginPool):
            self.fails(keeper, error, self._monotonic())

    # Time, and the end.

    def sweep(self) -> None:
        """Do what is due every second."""
        now = self._monotonic()
        for member in self._members:
            member.pool.sweep()
            if member.check is not None:
                member.check.tick(now, self._chance())

    def endpoints(self) -> dict[str, int]:
        """Return 1 for each endpoint that should get requests, 0 for the others."""
        now = self._monotonic()
        return {
            str(member.pool.endpoint): int(member.pool.health.admits(now))
            for member in self._members
        }

    def close_idle(self) -> None:
        """Close all kept connections."""
        for member in self._members:
            member.pool.close_idle()

    def retire(self) -> None:
        """Keep no connections and check nobody any more: the rules don't want it."""
        self.retired = True
        for member in self._members:
            member.check = None
            member.pool.retire()
