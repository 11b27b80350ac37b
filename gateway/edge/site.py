"""What every connection of a worker shares: the rules in force, the store, pools and counts."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from gateway.background import Background
from gateway.clock import Stamp, Watch
from gateway.counters import Counters
from gateway.edge.compress import Representations
from gateway.edge.heads import RepeatedHeads
from gateway.edge.hints import Hints
from gateway.edge.insight import Insight
from gateway.edge.interfaces import AccessLog
from gateway.edge.limiting import Limiter
from gateway.edge.limits import Backlog, Crowd
from gateway.edge.live_explain import LiveExplainer
from gateway.edge.passes import RepeatedPasses
from gateway.edge.snapshot import Snapshot
from gateway.edge.trusted import TrustedProxies
from gateway.errors import MalformedRequest
from gateway.origin.origin import Origin
from gateway.policy import key as keys
from gateway.policy.images import of_source
from gateway.policy.rules import Scope
from gateway.routing.trpc import Batches
from gateway.storage.fence import Fence, FencedStamp
from gateway.storage.leases import Leases
from gateway.storage.memory import MemoryStore
from gateway.storage.purges import Kind, Purge, Purges
from gateway.storage.tiers import Tiers
from gateway.wire.target import origin_form

_log = logging.getLogger("gateway.origin")

_TICKS_BETWEEN_SWEEPS = 5
"""Looking through a full table of heads takes two milliseconds."""


class Drainable(Protocol):
    """A client's connection, as far as shutting down is concerned."""

    def drain(self) -> None:
        """Close now if nothing is being answered; else after that."""

    def break_off(self) -> None:
        """Close now."""


class Site:
    """One worker's shared state; its parts are named where they are used."""

    def __init__(
        self,
        snapshot: Snapshot,
        counters: Counters,
        access_log: AccessLog | None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # Not the loop's time, which stands still in whole milliseconds.
        self.monotonic = time.monotonic
        self.clock = clock
        self.chance = random.random
        self.snapshot = snapshot
        self.counters = counters
        self.access_log = access_log
        self.background = Background()
        self.watch = Watch(time.monotonic())
        self.stamp = Stamp(clock())
        self.fence: Fence | None = None
        """What purges there were; None where this process hears of each before anybody else."""
        self.holding: list[Callable[[], None]] = []
        """Who waits for purges to be applied here."""
        self.tiers: Tiers | None = None
        """What is below memory; None is nothing."""
        self.memory = MemoryStore(snapshot.memory_bytes, snapshot.object_bytes)
        self.insight = Insight(clock)
        self.heads = RepeatedHeads(self.stamp, counters, self.insight)
        self.passes = RepeatedPasses(counters, self.insight)
        self.representations = Representations(self.memory, counters, self.background)
        self.batches = Batches(snapshot.routes)
        self.hints = Hints(
            self.representations.run,
            lambda head: self.batches.route(head.method, head.target, head),
        )
        self.limiter = Limiter()
        self.explainer = LiveExplainer(None, clock)
        self.crowd = Crowd()
        self.backlog = Backlog()
        self.trusted = TrustedProxies(snapshot.listening.trusted)
        self.hsts = _hsts(snapshot)
        """A field line for answers by https, or nothing."""
        self.no_heads = RepeatedHeads(self.stamp, counters, self.insight)
        """Stays empty: for connections whose heads mean more than their bytes say."""
        self.purges = Purges()
        self.announce: Callable[[list[Purge]], None] = _to_nobody
        """Tells the other workers and replicas about purges that began here."""
        self.pools: dict[str, Origin] = {}
        """By origin; those of origins that are gone stay, for requests begun before."""
        self._open_pools(snapshot)
        self.connections: set[Drainable] = set()
        self.draining = False
        self.empty = asyncio.Event()
        """Set when the last connection has gone while draining."""
        self._ticks = 0
        self._troubles: dict[tuple[str, str], tuple[int, str]] = {}

    def _open_pools(self, snapshot: Snapshot) -> None:
        for name, settings in snapshot.origins.items():
            known = self.pools.get(name)
            if known is not None and known.settings == settings and not known.retired:
                continue
            if known is not None:
                known.retire()
            self.pools[name] = Origin(
                settings,
                self.watch,
                self.counters,
                self.background,
                time.monotonic,
                random.random,
            )

    def stand_behind(self, fence: Fence) -> None:
        """Rely on what is stored only while *fence* says that every purge is known."""
        self.fence = fence
        self.stamp = FencedStamp(self.clock(), fence)
        self.heads = RepeatedHeads(self.stamp, self.counters, self.insight)
        self.no_heads = RepeatedHeads(self.stamp, self.counters, self.insight)

    def wake(self) -> None:
        """Let those go on who waited for purges that are applied now."""
        waiting, self.holding = self.holding, []
        for each in waiting:
            each()

    def is_current(self) -> bool:
        """Return whether every purge is known here."""
        return self.fence is None or self.fence.current()

    def open_tiers(self, folder: Path, leases: Leases | None) -> None:
        """Open what the rules have below memory; *folder* is the gateway's own."""
        settings = self.snapshot.tiers
        if settings.local is None and settings.redis is None:
            return
        self.tiers = Tiers(
            settings,
            folder,
            self.background,
            clock=self.clock,
            monotonic=self.monotonic,
            chance=self.chance,
            judge=self.purges.judge,
            fence=self.fence,
            leases=leases,
        )
        self.representations.kept = self.tiers.keep
        self.representations.elsewhere = self.tiers.at_hand
        self.representations.dictionaries.kept = partial(self.tiers.keep, far=False)
        # It isn't a request that looks for them, so what is missing is no miss.
        self.representations.dictionaries.elsewhere = partial(self.tiers.at_hand, again=True)

    def adopt(self, snapshot: Snapshot) -> None:
        """Go by other rules from now on."""
        self._open_pools(snapshot)
        for name, pool in self.pools.items():
            if name not in snapshot.origins:
                pool.retire()
        self.snapshot = snapshot
        self.batches = Batches(snapshot.routes)
        self.trusted = TrustedProxies(snapshot.listening.trusted)
        self.hsts = _hsts(snapshot)
        self.memory.resize(snapshot.memory_bytes, snapshot.object_bytes)
        # Heads were decided on by the old rules.
        self.heads.clear()
        self.passes.clear()
        self.stamp.change(self.clock())

    def left(self, connection: Drainable) -> None:
        """Forget a connection that has closed."""
        self.connections.discard(connection)
        if self.draining and not self.connections:
            self.empty.set()

    def trouble(self, origin: str, reason: str, text: str) -> None:
        """Report that *origin* failed; the same reason is logged once a second, with a count."""
        count, first = self._troubles.get((origin, reason), (0, text))
        self._troubles[origin, reason] = (count + 1, first)

    def tick(self) -> None:
        """Do what is due every second."""
        self.stamp.change(self.clock())
        self.representations.observe(self.heads.touched)
        self.heads.fold()
        self.passes.fold()
        self._ticks += 1
        if self._ticks % _TICKS_BETWEEN_SWEEPS == 0:
            self.heads.forget_dead()
        for (origin, reason), (count, text) in self._troubles.items():
            times = "" if count == 1 else f" ({count} times in a second)"
            _log.warning("origin %s: %s: %s%s", origin, reason, text, times)
        self._troubles.clear()
        self.representations.improve(self._recompress_after)
        self.backlog.hold_to(self.snapshot.limits.buffer_bytes)
        for pool in self.pools.values():
            pool.sweep()

    def _recompress_after(self, name: str) -> int | None:
        for route in self.snapshot.routes.routes:
            if route.name == name and route.compression is not None:
                return route.compression.recompress_after
        return None

    def purge(self, purge: Purge, at: float | None = None) -> None:
        """Note *purge*, of what was asked for before *at* (epoch seconds; None is now)."""
        now = self.clock()
        self.purges.apply(purge, now if at is None else at)
        # What is prepared for repeated heads has to be looked at again.
        self.stamp.change(now)

    def spread(self, purge: Purge) -> None:
        """Note *purge*, and see to it that every worker and replica does."""
        self.purge(purge)
        if self.fence is not None:
            # Counted before it is told: nobody may use anything in between.
            self.fence.begin()
        self.announce([purge])

    def named(self, purge: Purge) -> list[Purge]:
        """Return what *purge* comes to under the rules in force.

        A URL as a person writes it may stand in the store in several forms: each route says
        which parts of a query count.
        """
        if purge.kind is not Kind.URL:
            return [purge]
        try:
            target = origin_form(purge.value)
        except MalformedRequest:
            return [purge]
        forms = set()
        for route in self.snapshot.routes.routes:
            # What asks for a width of a picture is no part of what the picture is filed under.
            source = target if route.images is None else of_source(target, route.images)
            forms |= {keys.normal_target(each, route.cache.query) for each in (target, source)}
        return [replace(purge, value=form) for form in sorted(forms)]

    def count_store(self) -> None:
        """Take the store's size over into the counts."""
        counters = self.counters
        counters.endpoints_up = {
            name: pool.endpoints() for name, pool in self.pools.items() if not pool.retired
        }
        counters.store_bytes = self.memory.bytes
        counters.clients_cut_off = self.backlog.cut_off
        counters.store_limit_bytes = self.memory.limit_bytes
        counters.store_objects = self.memory.objects
        counters.store_evictions = self.memory.evictions
        if self.tiers is not None:
            counters.tiers = self.tiers.measure()


def _hsts(snapshot: Snapshot) -> bytes:
    value = snapshot.listening.hsts
    return b"Strict-Transport-Security: %b\r\n" % value if value else b""


def _to_nobody(purges: list[Purge]) -> None:
    """Tell nobody: there is one worker."""


def needs_identity(scope: Scope) -> bool:
    """Return whether responses of *scope* are kept apart by who asks."""
    return scope is not Scope.PUBLIC and scope is not Scope.SHARED
