"""Rate limits that replicas keep together: each counts by itself, and hears of the others at once.

A request never waits for Valkey. What the workers let pass is told there some milliseconds later,
to a bucket for all replicas, and the fuller of the two levels holds here from then on. So
several replicas may let a little more pass than one would, as much as is asked for in
those milliseconds; and when Valkey is gone, each goes on by itself.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from gateway.background import Background
from gateway.edge.snapshot import Snapshot
from gateway.policy.rate import RateLimit
from gateway.storage.keys import Prefix
from gateway.storage.local import TierDown
from gateway.storage.quotas import Quotas
from gateway.storage.redis import RedisStore

_AT_ONCE = 256
_MOST_WAITING = 20_000
_PATIENCE = 0.25

# The bucket is kept as the moment in which it is full again, by Valkey's clock.
_SPEND = """
local now = redis.call('time')
now = now[1] + now[2] / 1000000
local full = tonumber(redis.call('get', KEYS[1]) or '0')
if full < now then full = now end
full = full + ARGV[1]
if full - now > tonumber(ARGV[2]) then full = now + ARGV[2] end
redis.call('set', KEYS[1], string.format('%.6f', full), 'px', math.ceil((full - now) * 1000) + 1)
return string.format('%.6f', full - now)
"""

Spent = list[tuple[str, bytes, int]]
"""(name of a limit, who asked, how many requests passed)."""


class SharedLimits:
    """What this gateway's workers let pass, told to the others, and what they hear."""

    def __init__(
        self,
        table: int,
        store: RedisStore,
        limits: Callable[[], Mapping[str, RateLimit]],
        held: Background,
    ) -> None:
        """Keep the table *table* of the workers at the level of all replicas."""
        self._quotas = Quotas(os.dup(table))
        self._store = store
        self._limits = limits
        self._waiting: dict[tuple[str, bytes], int] = {}
        self._wanted = asyncio.Event()
        held.spawn(self._run(), name="rate limits of all replicas")

    def close(self) -> None:
        """Let go of the table."""
        self._quotas.close()

    def take(self, spent: Spent) -> None:
        """Take in what a worker let pass."""
        for name, subject, count in spent:
            if len(self._waiting) < _MOST_WAITING or (name, subject) in self._waiting:
                self._waiting[name, subject] = self._waiting.get((name, subject), 0) + count
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._waiting:
                batch = [self._waiting.popitem() for _ in range(min(_AT_ONCE, len(self._waiting)))]
                with contextlib.suppress(TierDown):
                    await self._tell(batch)

    async def _tell(self, batch: list[tuple[tuple[str, bytes], int]]) -> None:
        limits = self._limits()
        known = [
            (limits[name], subject, count)
            for (name, subject), count in batch
            # One of rules that were changed meanwhile is nobody's.
            if name in limits
        ]
        levels = await self._store.ask(lambda to: self._say(to, known), _PATIENCE)
        now = time.monotonic()
        for (limit, subject, _), level in zip(known, levels, strict=True):
            if isinstance(level, Exception):
                continue
            mark = self._quotas.mark(limit, subject)
            here = max(self._quotas.full_at(mark), now)
            if now + float(level) > here:
                self._quotas.shift(mark, now, now + float(level) - here)

    async def _say(self, to: Any, known: list[tuple[RateLimit, bytes, int]]) -> list[Any]:
        pipe = to.pipeline(transaction=False)
        for limit, subject, count in known:
            # A digest, because whoever asks may be a session.
            who = blake2b(subject, digest_size=16).hexdigest()
            key = self._store.name(Prefix.RATE_LIMIT, f"{limit.name}:{who}")
            pipe.execute_command("EVAL", _SPEND, 1, key, count * limit.interval, limit.depth)
        return list(await pipe.execute(raise_on_error=False))


def shared_limits(snapshot: Snapshot | None) -> dict[str, RateLimit]:
    """Return the limits of *snapshot* that replicas keep together, by name."""
    if snapshot is None:
        return {}
    return {
        limit.name: limit
        for route in snapshot.routes.routes
        for limit in route.rate_limits
        if limit.shared
    }
