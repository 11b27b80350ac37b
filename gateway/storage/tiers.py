"""The tiers below memory, as one worker uses them: local, then shared.

What is stored in memory is written to both a moment later, many keys at a time; what is found
in one of them goes back into memory. Neither is trusted with anything: each record is judged
by the purges and rules in force when it is looked at, and what can't be read isn't there.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

from gateway.background import Background
from gateway.counters import TierStatistics
from gateway.policy.age import current_age
from gateway.policy.rules import CacheRules
from gateway.policy.stored import StoredResponse
from gateway.storage import codec
from gateway.storage.fence import Fence
from gateway.storage.keys import Prefix
from gateway.storage.leases import Answer, Leases
from gateway.storage.local import LocalStore, TierDown, Write
from gateway.storage.redis import RedisStore
from gateway.storage.settings import TierSettings

_log = logging.getLogger("gateway.tiers")

LOCAL = "local"
SHARED = "redis"
LEASE_SECONDS = 5.0
"""How long a fetch keeps others from fetching the same; also their patience."""
_RELEASE_TRIES = 4
_RELEASE_PAUSE_SECONDS = 0.005
_GATHERED_SECONDS = 0.02
_MOST_PENDING = 8192
_LEFT_ALONE_SECONDS = 30.0
_LEAST_SECONDS = 1.0
"""What is of use for less isn't worth a write."""
_VALIDATED_SECONDS = 3600.0
"""How long after its last use a response is kept that the origin may find unchanged."""
_USED_AT_ONCE = 256

Variants = tuple[StoredResponse, ...]


class Tiers:
    """One worker's tiers below memory."""

    def __init__(
        self,
        settings: TierSettings,
        folder: Path,
        background: Background,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        chance: Callable[[], float],
        judge: Callable[[StoredResponse], StoredResponse | None],
        fence: Fence | None = None,
        leases: Leases | None = None,
    ) -> None:
        """Open the tiers of *settings*; the local one in *folder*, where `prepare` was called.

        *judge* returns a response as the purges leave it, None for gone. *fence* tells whether
        what other replicas stored may be used, None that there are none.
        """
        self.settings = settings
        self._clock = clock
        self._judge = judge
        self._monotonic = monotonic
        self._fence = fence
        self._leases = leases
        self._thread = ThreadPoolExecutor(1, "tiers")
        self._pending: dict[bytes, Write] = {}
        self._used: set[bytes] = set()
        self._told: list[Callable[[], None]] = []
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None
        self._down_until = 0.0
        self._token = b"%d:%b" % (os.getpid(), os.urandom(8).hex().encode())
        self.statistics: dict[str, TierStatistics] = {}
        self._local: LocalStore | None = None
        self.shared: RedisStore | None = None
        if settings.local is not None:
            counts = self.statistics[LOCAL] = TierStatistics()
            path = Path(settings.local.path or folder / "local")
            try:
                self._local = LocalStore(
                    path, settings.local.quota, settings.local.max_object, counts
                )
                counts.up = 1
            except TierDown as error:
                counts.errors += 1
                _log.warning("%s; the gateway runs without it", error)
        if settings.redis is not None:
            counts = self.statistics[SHARED] = TierStatistics()
            self.shared = RedisStore(
                settings.redis, background, monotonic=monotonic, chance=chance, statistics=counts
            )

    # Looking up.

    def at_hand(
        self, key: bytes, rules: CacheRules, newer_than: float = 0.0, *, again: bool = False
    ) -> Variants:
        """Return what the local tier has under *key*; nothing costs a microsecond or two.

        Variants that all came by *newer_than* (epoch seconds; 0 for any time) are of no use.
        *again* is whether it was missed a moment ago, and counted.
        """
        local = self._local
        if local is None or key in self._pending:
            # What waits to be written is newer than what is there.
            return ()
        record = local.find(key, self._clock(), newer_than, again=again)
        if record is None:
            return ()
        found = self._read(record, key, rules, local.statistics)
        if found:
            local.statistics.hits += 1
            if len(self._used) < _USED_AT_ONCE:
                self._used.add(key)
                self._soon()
        else:
            local.statistics.misses += 1
            self._reclaim(key, codec.came(record))
        return found

    def _reclaim(self, key: bytes, newest: float) -> None:
        """Remove what the local tier has under *key* if that came by *newest* (epoch seconds)."""
        if key not in self._pending:
            self._put(Write(key, (), unless_newer=newest, far=False))

    @property
    def asks_others(self) -> bool:
        """Whether the shared tier is in use at this moment."""
        shared = self.shared
        return (
            shared is not None
            and shared.breaker.closed
            and (self._fence is None or self._fence.attached)
        )

    async def look_or_lease(
        self, key: bytes, rules: CacheRules, newer_than: float
    ) -> tuple[Variants, bool]:
        """Return what the shared tier has under *key*, and whether another is fetching it.

        When nobody is, it is ours to fetch from now on; `release` tells that it is done.
        """
        shared = self.shared
        assert shared is not None
        name, lease = self._names(key)
        said = await shared.get_or_lease(name, lease, self._token, LEASE_SECONDS)
        if said is None:
            return (), False
        record, ours = said
        found = self._usable(record, key, rules, newer_than)
        if found and ours:
            self.release_others(key)
        return found, not ours

    async def look_again(
        self, key: bytes, rules: CacheRules, newer_than: float
    ) -> tuple[Variants, bool]:
        """Return what the shared tier has under *key* by now, and whether another fetches it."""
        shared = self.shared
        assert shared is not None
        said = await shared.awaited(*self._names(key))
        if said is None:
            return (), False
        record, held = said
        return self._usable(record, key, rules, newer_than), held

    def _usable(
        self, record: bytes | None, key: bytes, rules: CacheRules, newer_than: float
    ) -> Variants:
        assert self.shared is not None
        statistics = self.shared.statistics
        found: Variants = ()
        if record is not None:
            found = self._read(record, key, rules, statistics)
            if found and found[0].arrival.response_time <= newer_than:
                found = ()
        if found:
            statistics.hits += 1
        else:
            statistics.misses += 1
        return found

    def _read(
        self, record: bytes, key: bytes, rules: CacheRules, statistics: TierStatistics
    ) -> Variants:
        try:
            judged = [self._judge(each) for each in codec.decode(record, key, rules)]
            return tuple(each for each in judged if each is not None)
        except codec.NotARecord as error:
            statistics.damaged += 1
            statistics.errors += 1
            if statistics.damaged == 1:
                _log.warning("a value in a tier is no record of ours: %s; it is ignored", error)
            return ()

    # Keeping.

    def keep(self, key: bytes, variants: Sequence[StoredResponse], *, far: bool = True) -> None:
        """Write *variants*, newest first, a moment from now; it may come to nothing.

        *far* is whether the shared tier gets it, too.
        """
        now = self._clock()
        until = max((_until(each, now) for each in variants), default=0.0)
        if variants and until - now < _LEAST_SECONDS:
            return
        self._put(Write(key, tuple(variants), until, far=far))

    def forget(self, key: bytes) -> None:
        """Remove what lies under *key*, a moment from now."""
        self._put(Write(key, ()))

    def _put(self, write: Write) -> None:
        if len(self._pending) >= _MOST_PENDING and write.key not in self._pending:
            for each in self.statistics.values():
                each.dropped += 1
            return
        self._pending[write.key] = write
        self._soon()

    def _soon(self) -> None:
        if self._timer is None and not self._writing:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_GATHERED_SECONDS, self._flush)

    def _flush(self) -> None:
        """Hand what waits over to the thread."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing:
            return
        writes, self._pending = list(self._pending.values()), {}
        used, self._used = list(self._used), set()
        told, self._told = self._told, []
        if not writes and not used:
            for each in told:
                each()
            return
        self._writing = True
        loop = asyncio.get_running_loop()

        def work() -> None:
            complaint = self._write_local(writes, used)
            try:
                loop.call_soon_threadsafe(self._written, writes, told, complaint)
            except RuntimeError:
                # The loop has closed: nobody waits any more.
                return

        self._thread.submit(work)

    def _write_local(self, writes: list[Write], used: list[bytes]) -> str | None:
        """Encode and write, in the thread; return why that can't be done, None when it was."""
        local = self._local if self._monotonic() >= self._down_until else None
        try:
            for write in writes:
                if write.variants:
                    write.record = codec.encode(write.key, write.variants)
            if local is not None:
                local.write(writes, used)
        except TierDown as error:
            return str(error)
        except Exception as error:
            _log.exception("writing to the local tier failed")
            return str(error)
        return None

    def _written(
        self, writes: list[Write], told: list[Callable[[], None]], complaint: str | None
    ) -> None:
        self._writing = False
        local = self._local
        if local is not None and self._monotonic() >= self._down_until:
            if complaint is not None:
                self._down_until = self._monotonic() + _LEFT_ALONE_SECONDS
                if local.statistics.up:
                    _log.warning("nothing is written to the local tier for now: %s", complaint)
                local.statistics.up = 0
            elif not local.statistics.up and writes:
                local.statistics.up = 1
                _log.info("the local tier takes writes again")
        shared = self.shared
        if shared is not None and self.settings.redis is not None:
            now = self._clock()
            largest = self.settings.redis.max_object
            for write in writes:
                if not write.far:
                    continue
                if write.record and len(write.record) <= largest:
                    shared.put(self._names(write.key)[0], write.record, write.until - now)
                elif shared.breaker.closed:
                    # Nothing older may stay in its place.
                    shared.put(self._names(write.key)[0], None, 0.0)
            for each in told:
                shared.then(each)
        else:
            for each in told:
                each()
        if self._told:
            self._flush()
        elif self._pending or self._used:
            self._soon()

    # Leases: who fetches what.

    def lease(self, key: bytes) -> Answer:
        """Ask to be who fetches *key* among the workers of this node."""
        if self._leases is None or self._local is None:
            return Answer.NONE
        return self._leases.acquire(key, self._monotonic(), LEASE_SECONDS)

    def is_leased(self, key: bytes) -> bool:
        """Return whether another worker of this node is fetching *key*."""
        return self._leases is not None and self._leases.held(key, self._monotonic())

    def release(self, key: bytes, *, near: bool, far: bool) -> None:
        """Tell the other workers (*near*) and replicas (*far*) that *key* was fetched.

        They hear it once they can find what was stored.
        """

        def told() -> None:
            if near:
                self._release_workers(key, _RELEASE_TRIES)
            if far:
                self.release_others(key)

        self._told.append(told)
        self._flush()

    def _release_workers(self, key: bytes, tries: int) -> None:
        if self._leases is None or self._leases.release(key) or not tries:
            return
        # Else those who wait for it would do so until it ends by itself.
        loop = asyncio.get_running_loop()
        loop.call_later(_RELEASE_PAUSE_SECONDS, self._release_workers, key, tries - 1)

    def release_others(self, key: bytes) -> None:
        """Tell the other replicas that we don't fetch *key*."""
        if self.shared is not None:
            self.shared.leave(self._names(key)[1], self._token)

    def _names(self, key: bytes) -> tuple[str, str]:
        """Return where the response of *key* and its lease lie: in one slot of a cluster."""
        assert self.shared is not None
        # A digest, because keys hold what users typed; in braces, because a script or a
        # pipeline may only touch keys of one slot.
        tag = f"{{{blake2b(key, digest_size=16).hexdigest()}}}"
        return self.shared.name(Prefix.API, tag), self.shared.name(Prefix.LEASE, tag)

    # Their lives.

    def measure(self) -> dict[str, TierStatistics]:
        """Return what was counted, with what the tiers hold now."""
        if self._local is not None:
            self._local.measure()
        return self.statistics

    async def close(self) -> None:
        """Write what waits and let go of everything."""
        done = asyncio.get_running_loop().create_future()
        self._told.append(lambda: None if done.done() else done.set_result(None))
        self._flush()
        try:
            async with asyncio.timeout(2.0):
                await done
        except TimeoutError:
            _log.warning("not all of what waited was written to the tiers")
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.to_thread(self._thread.shutdown)
        if self.shared is not None:
            await self.shared.close()
        if self._local is not None:
            self._local.close()
            self._local = None


def _until(stored: StoredResponse, now: float) -> float:
    """Return the epoch second after which *stored* is of no use to anybody."""
    left = stored.lifetime - current_age(stored.arrival, now)
    rules, said = stored.rules, stored.directives
    windows = [0.0, said.stale_while_revalidate or 0.0, said.stale_if_error or 0.0]
    if rules is not None:
        windows += [
            rules.stale_while_revalidate or 0.0,
            rules.stale_if_error_for or 0.0,
            rules.stale_if_gone or 0.0,
        ]
    index = stored.fields.index()
    if b"etag" in index or b"last-modified" in index:
        windows.append(_VALIDATED_SECONDS)
    return now + left + max(windows)
