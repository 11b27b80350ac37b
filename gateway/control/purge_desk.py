"""Where purges come together: from operators, workers, other replicas, the database.

Each is noted, counted where every worker sees it before it acts on anything, told to the
workers, to the other replicas and to the CDN. The order makes it exact: from the moment in
which a purge is counted no worker uses what it forbids, told or not (`storage/fence.py`).
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from gateway.background import Background
from gateway.control.bridge import Bridge
from gateway.control.metrics import BridgeFacts, ReplicaFacts
from gateway.control.process import WorkerProcess
from gateway.control.propagation import Propagation
from gateway.control.purge_book import PurgeBook
from gateway.control.purging import Receipt, tell
from gateway.control.replicas import Replicas
from gateway.control.rules_file import RulesFile
from gateway.control.shared_limits import SharedLimits, shared_limits
from gateway.edge.snapshot import Snapshot
from gateway.errors import ConfigurationError
from gateway.storage.fence import PLACES, Fence
from gateway.storage.local import TierDown, prepare
from gateway.storage.purges import Purge
from gateway.storage.settings import RedisSettings, TierSettings

_log = logging.getLogger(__name__)

_MOST_BESIDE = 64


class PurgeDesk:
    """The purges of one gateway."""

    def __init__(self, fence: int, workers: int) -> None:
        """Stand behind the fence with this descriptor, for so many *workers* at a time."""
        self.book = PurgeBook()
        self.cdn = Propagation()
        self.on_purged: Callable[[], None] = lambda: None
        """Is called after purges that nobody here wrote: by operators, replicas, the database."""
        self.replicas: Replicas | None = None
        """The other gateways; None when there are none."""
        self.bridge: Bridge | None = None
        """The ear at the hub's database; None when there is none."""
        self._alone = workers == 1
        self._lock = -1
        self._limits: SharedLimits | None = None
        # Others may be finishing what they had begun.
        self._places = min(4 * workers + 6, PLACES)
        self._free = list(range(self._places - 1, 0, -1))
        self.fence = Fence(fence, 0, [0] * self._places)

    def begin(
        self,
        snapshot: Snapshot | None,
        folder: Path,
        held: Background,
        workers: Iterable[WorkerProcess],
    ) -> None:
        """Make ready what *snapshot* has below memory, in the gateway's *folder*.

        *workers* are those that are there at any time; *held* holds what runs for it. The
        folder is what `own` returned.
        """
        tiers = TierSettings() if snapshot is None else snapshot.tiers
        if snapshot is not None and snapshot.database is not None:
            self._heed(snapshot.database, held, workers)
        if tiers.local is None and tiers.redis is None:
            # Nothing outlives this gateway.
            return
        if self._lock >= 0:
            self.book.open(folder / "purges.jsonl")
        if tiers.local is not None:
            path = Path(tiers.local.path or folder / "local")
            try:
                told = prepare(path, tiers.local.quota)
                if told is not None:
                    _log.warning("the local tier at %s", told)
            except TierDown as error:
                _log.error("the local tier is off: %s", error)
        if tiers.redis is not None:
            self._join(tiers.redis, held, workers)

    def own(self, folder: Path, snapshot: Snapshot | None) -> Path:
        """Return the folder in *folder* that is this gateway's alone, now and while it runs.

        What outlives a gateway is judged by the purges that it heard of, so two of them can't
        share it: each but the first has a folder of its own in there. Raises ConfigurationError.
        """
        tiers = TierSettings() if snapshot is None else snapshot.tiers
        if tiers.local is None and tiers.redis is None:
            # Nothing outlives this gateway.
            return folder
        for number in range(1, _MOST_BESIDE):
            own = folder if number == 1 else folder / f"gateway-{number}"
            try:
                own.mkdir(mode=0o700, exist_ok=True)
                lock = os.open(own / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                _log.error("nothing can be kept in %s: %s", own, error.strerror)
                return folder
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            self._lock = lock
            if number > 1:
                _log.info("%s is another gateway's; this one keeps its tiers in %s", folder, own)
            return own
        raise ConfigurationError(
            f"{folder} is in use by {_MOST_BESIDE - 1} gateways; choose another with --state-dir"
        )

    def _join(
        self, settings: RedisSettings, held: Background, workers: Iterable[WorkerProcess]
    ) -> None:
        """Be one cache with the other gateways at *settings*; *held* holds what runs for it.

        *workers* are those that are there at any time.
        """
        self.replicas = Replicas(
            settings,
            self.fence,
            self.book,
            lambda purges, at: self.hear(purges, at, workers),
            held,
        )
        # Until what was missed is known, nothing that was stored before is used.
        self.fence.until = 0.0
        held.spawn(self.replicas.run(), name="purges of other replicas")

    def share_limits(self, table: int, rules: RulesFile, held: Background) -> None:
        """Keep the rate limits of *rules*, in the workers' *table*, together with replicas."""
        if self.replicas is not None:
            self._limits = SharedLimits(
                table, self.replicas.store, lambda: shared_limits(rules.snapshot), held
            )

    def passed(self, spent: list[tuple[str, bytes, int]]) -> None:
        """Tell the replicas what a worker let pass."""
        if self._limits is not None:
            self._limits.take(spent)

    def _heed(self, database: str, held: Background, workers: Iterable[WorkerProcess]) -> None:
        """Apply what changes of rows at the URL *database* make wrong."""

        def apply(purges: list[Purge], at: float) -> None:
            # At once, and their word isn't waited for: the fence stands before everybody.
            held.spawn(self.hear(purges, at, workers), name="purges of the database")

        self.bridge = Bridge(database, self.book, apply)
        held.spawn(self.bridge.run(), name="bridge from the database")

    @property
    def database_facts(self) -> BridgeFacts | None:
        """What `/metrics` tells about the bridge from the database; None when there is none."""
        bridge = self.bridge
        if bridge is None:
            return None
        return BridgeFacts(bridge.connected, bridge.applied, bridge.reconnects, bridge.lag)

    @property
    def facts(self) -> ReplicaFacts | None:
        """What `/metrics` tells about the other gateways; None when there are none."""
        replicas = self.replicas
        if replicas is None:
            return None
        return ReplicaFacts(self.fence.attached, replicas.lag, replicas.heard, replicas.published)

    async def close(self) -> None:
        """Tell the other replicas what they don't know yet, and let go."""
        if self.replicas is not None:
            await self.replicas.close()
        if self._limits is not None:
            self._limits.close()
        self.book.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # For workers that begin, and end.

    def seat(self) -> int:
        """Return a place for a worker that begins; raises OSError when all are taken."""
        if not self._free:
            raise OSError("too many workers are still ending")
        return self._free.pop()

    def known(self) -> tuple[list[tuple[Purge, float]], list[int]]:
        """Return what was purged, and how many purges of each place that includes.

        No counts where one worker hears of all there is, and needs no fence.
        """
        alone = self._alone and self.replicas is None
        return self.book.history(), [] if alone else self.fence.counts

    def bury(self, place: int) -> None:
        """Free the *place* of a worker that ended, and all of whose words were heard."""
        self.fence.bury(place)
        self._free.append(place)

    # Purges.

    async def purge(
        self, purges: list[Purge], workers: Iterable[WorkerProcess], snapshot: Snapshot | None
    ) -> Receipt:
        """Let everybody know of *purges*, which begin here; return who said that they do."""
        began = time.perf_counter()
        at = time.time()
        self.book.note(purges, at)
        self.fence.begin()
        self.cdn.take(purges, snapshot)
        asked = None if self.replicas is None else self.replicas.ask(purges, at)
        receipt = await tell(list(workers), purges, 0)
        self.on_purged()
        if asked is None:
            return receipt
        assert self.replicas is not None
        return receipt.with_replicas(await self.replicas.answers(asked), began)

    def spread(
        self,
        purges: list[Purge],
        teller: WorkerProcess,
        workers: Iterable[WorkerProcess],
        snapshot: Snapshot | None,
    ) -> None:
        """Let everybody else know of *purges*, which *teller* has applied and counted."""
        at = time.time()
        self.book.note(purges, at)
        self.fence.applied(teller.place)
        self.cdn.take(purges, snapshot)
        if self.replicas is not None:
            self.replicas.publish(purges, at)
        for worker in workers:
            if worker is not teller:
                worker.tell(purges, teller.place)

    def hear(
        self, purges: list[Purge], at: float, workers: Iterable[WorkerProcess]
    ) -> Coroutine[Any, Any, Receipt]:
        """Apply *purges* of another's; return what brings the workers' word.

        They forbid what was asked for before *at* (epoch seconds), from this call on.
        """
        self.book.note(purges, at)
        self.fence.begin()
        self.on_purged()
        return tell(list(workers), purges, 0, at)
