"""What comes between a miss in memory and the origin: others may have it, or be fetching it.

In order: every purge has to be known; the tiers below memory are looked at; and whoever is
first, of all workers and replicas, fetches, while the others wait for what it stores. Each
step has a bound, and what doesn't answer in time is passed over: the origin always remains.
"""

import asyncio
from collections.abc import Callable

from gateway.edge import shelving
from gateway.edge.site import Site
from gateway.policy.rules import CacheRules
from gateway.storage.leases import Answer
from gateway.storage.tiers import LEASE_SECONDS, Tiers, Variants

HOLD_SECONDS = 1.0
"""How long a request waits for purges that may be missing; then nothing stored is used for it."""
_FIRST_LOOK = 0.002
_SLOWEST_LOOK = 0.025
"""Seconds between two looks whether another's fetch is done."""
_TRIES = 4
"""How often it is asked who fetches before that is passed over."""


class Consultation:
    """One fetch's questions to the other workers and replicas."""

    __slots__ = ("_asked", "_counted", "_done", "_far", "_key", "_near", "_newer_than", "_over",
                 "_pause", "_rules", "_site", "_timer", "_until", "unshared")  # fmt: skip

    def __init__(
        self,
        site: Site,
        key: bytes,
        rules: CacheRules,
        newer_than: float,
        done: Callable[[bool], None],
    ) -> None:
        """Ask for what lies under *key* and came after *newer_than* (epoch seconds).

        *done* is told True when memory has an answer by now, False to ask the origin.
        """
        self._site = site
        self._key = key
        self._rules = rules
        self._newer_than = newer_than
        self._done = done
        self._over = False
        self._near = False
        self._far = False
        self._pause = _FIRST_LOOK
        self._asked = 0
        self._until = 0.0
        self._counted: bytes | None = None
        self.unshared = False
        """Whether another fetched it just now, and had nothing to share."""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Ask; *done* may be told before this returns."""
        if self._site.is_current():
            self._share()
            return
        self._until = self._site.monotonic() + HOLD_SECONDS
        self._hold()
        self._wait_for_word()

    def _wait_for_word(self) -> None:
        """Be woken by word of other workers; that of other replicas is to be looked for."""
        if not self._over:
            self._site.holding.append(self._woken)

    def _woken(self) -> None:
        self._hold()
        self._wait_for_word()

    def _hold(self) -> None:
        """Wait until every purge is known."""
        site = self._site
        if self._over:
            return
        if self._timer is not None:
            self._timer.cancel()
        fence = site.fence
        assert fence is not None
        if self._counted is None:
            # Once those of other replicas are counted, and not before.
            self._counted = fence.counted()
        if self._counted is not None and fence.reached(self._counted):
            # What lies in memory may be good after all.
            self._end(found=True)
        elif site.monotonic() < self._until:
            self._later(self._hold)
        else:
            self._end(found=False)

    def _share(self) -> None:
        """Fetch for the other workers, or wait for the one that does."""
        tiers = self._site.tiers
        if tiers is None:
            self._end(found=False)
            return
        answer = tiers.lease(self._key)
        if answer is Answer.ANOTHERS:
            self._count(tiers)
            self._until = self._site.monotonic() + LEASE_SECONDS
            self._await_worker()
            return
        self._asked += 1
        if answer is Answer.UNKNOWN and self._asked < _TRIES:
            self._later(self._share)
            return
        self._near = answer is Answer.OURS
        if self._take(tiers.at_hand(self._key, self._rules, self._newest(), again=True)):
            # Another's fetch ended between our look and our lease.
            self._end(found=True)
            return
        self._ask_others(tiers)

    def _newest(self) -> float:
        """Return when the newest came that has been looked at already (epoch seconds)."""
        shelf = self._site.memory.peek(self._key)
        if shelf is None:
            return self._newer_than
        return max(self._newer_than, shelf.variants[0].arrival.response_time)

    def _await_worker(self) -> None:
        tiers = self._site.tiers
        if tiers is None:
            self._end(found=False)
        elif tiers.is_leased(self._key) and self._site.monotonic() < self._until:
            self._later(self._await_worker)
        else:
            found = self._take(tiers.at_hand(self._key, self._rules, self._newer_than, again=True))
            self.unshared = not found and self._site.monotonic() < self._until
            self._end(found=found)

    def _ask_others(self, tiers: Tiers) -> None:
        """Fetch for the other replicas, or wait for the one that does."""
        if not tiers.asks_others:
            self._end(found=False)
            return
        self._site.background.spawn(self._ask(tiers), name="question to the shared tier")

    async def _ask(self, tiers: Tiers) -> None:
        found, busy = await tiers.look_or_lease(self._key, self._rules, self._newer_than)
        if not found and not busy:
            # Ours, or nobody's when it didn't answer.
            self._far = True
        if busy and not found:
            self._count(tiers)
            until = self._site.monotonic() + LEASE_SECONDS
            while busy and not found and self._site.monotonic() < until:
                await asyncio.sleep(self._pause)
                self._slow_down()
                found, busy = await tiers.look_again(self._key, self._rules, self._newer_than)
            self.unshared = not found and not busy
        if self._take(found):
            # The other workers of this node wait for it there.
            tiers.keep(self._key, found, far=False)
        self._end(found=bool(found))

    def _take(self, found: Variants) -> bool:
        """Put *found* into memory; False for nothing."""
        if not found:
            return False
        shelving.promote(self._site, self._key, found)
        return True

    @staticmethod
    def _count(tiers: Tiers) -> None:
        for each in tiers.statistics.values():
            each.waits += 1
            return

    def _later(self, step: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._pause, step)
        self._slow_down()

    def _slow_down(self) -> None:
        self._pause = min(_SLOWEST_LOOK, self._pause * 1.5)

    def _end(self, *, found: bool) -> None:
        if self._over:
            return
        self._over = True
        if found:
            self.release()
        self._done(found)

    def release(self) -> None:
        """Let others know that the fetch is over, and what it brought is stored or isn't."""
        if not self._over:
            self._over = True
            if self._timer is not None:
                self._timer.cancel()
        near, far = self._near, self._far
        self._near = self._far = False
        tiers = self._site.tiers
        if tiers is not None and (near or far):
            tiers.release(self._key, near=near, far=far)
