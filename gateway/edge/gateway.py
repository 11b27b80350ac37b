"""The data plane of one worker: it accepts connections until it is told to drain."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable

from gateway.clock import RESOLUTION
from gateway.counters import Counters, Reading
from gateway.edge.collapse import Fetches
from gateway.edge.connection import ClientConnection
from gateway.edge.fast_lane import FastLane
from gateway.edge.insight import Looked
from gateway.edge.interfaces import AccessLog
from gateway.edge.refreshing import Refreshes
from gateway.edge.site import Site
from gateway.edge.snapshot import Snapshot
from gateway.storage.purges import Purge

BACKLOG = 4096
"""Connections that may wait to be accepted; the kernel's own limit may be lower."""

_TURNS = 3


class Gateway:
    """Serves one listening socket by the rules of a snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        counters: Counters,
        access_log: AccessLog | None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.site = Site(snapshot, counters, access_log, clock=clock)
        self._refreshes = Refreshes(self.site, Fetches(self.site))
        self._lane = FastLane(self.site)
        self._server: asyncio.Server | None = None
        self._timers: list[asyncio.TimerHandle] = []

    async def start(self, listening: socket.socket) -> None:
        """Accept connections on *listening*, which is bound already."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ClientConnection(self.site, self._refreshes, self._lane),
            sock=listening,
            backlog=BACKLOG,
        )
        self._tick()
        self._sweep()

    def _tick(self) -> None:
        """Begin a new second."""
        self.site.tick()
        now = self.site.clock()
        loop = asyncio.get_running_loop()
        self._timers[:1] = [loop.call_later(1.0 - now % 1.0 + 0.001, self._tick)]

    def _sweep(self) -> None:
        """Look for deadlines that passed."""
        loop = asyncio.get_running_loop()
        self.site.watch.sweep(self.site.monotonic())
        self._timers[1:] = [loop.call_later(RESOLUTION, self._sweep)]

    def adopt(self, snapshot: Snapshot) -> None:
        """Go by *snapshot* from now on; what is being answered ends as it began."""
        self.site.adopt(snapshot)
        self._refreshes.fetches.side_by_side.clear()

    def purge(self, purges: list[Purge]) -> None:
        """Use nothing any more that *purges*, which began elsewhere, forbid."""
        for purge in purges:
            for each in self.site.named(purge):
                self.site.purge(each)

    def remember(self, purged: list[tuple[Purge, float]]) -> None:
        """Note what was purged before we began, and when (epoch seconds)."""
        for purge, at in purged:
            for each in self.site.named(purge):
                self.site.purges.apply(each, at)

    def share_quotas(self, descriptor: int) -> None:
        """Hold clients to their limits together with whoever has the table *descriptor*."""
        self.site.limiter.share(descriptor)

    def announce_to(self, tell: Callable[[list[Purge]], None]) -> None:
        """Call *tell* with each purge that begins here, for the others to hear."""
        self.site.announce = tell

    async def drain(self, limit: float) -> None:
        """Accept no more, let running exchanges finish for *limit* seconds, and close."""
        site = self.site
        site.draining = True
        site.heads.clear()
        site.passes.clear()
        # What the kernel has accepted or received already is still ours to answer: each turn
        # of the loop takes all of it in, first the connections, then their requests.
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        if self._server is not None:
            self._server.close()
        for connection in tuple(site.connections):
            connection.drain()
        if not site.connections:
            site.empty.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(site.empty.wait(), limit)
        for connection in tuple(site.connections):
            connection.break_off()
        for timer in self._timers:
            timer.cancel()
        for pool in site.pools.values():
            pool.close_idle()
        await site.background.close()
        site.tick()
        site.representations.close()

    def looked(self, most: int) -> Looked:
        """Return what was noticed about the *most* busy URLs."""
        self.site.heads.fold()
        self.site.passes.fold()
        return self.site.insight.looked(most)

    def reading(self) -> Reading:
        """Return all counts, as they are now."""
        self.site.heads.fold()
        self.site.passes.fold()
        self.site.count_store()
        return self.site.counters.reading()
