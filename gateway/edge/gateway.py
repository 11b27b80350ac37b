"""The data plane of one worker: it accepts connections until it is told to drain."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable

from gateway.clock import RESOLUTION, Standstill
from gateway.counters import Counters, Reading
from gateway.edge.connection import ClientConnection
from gateway.edge.doorway import Door, Negotiated, bind, open_door
from gateway.edge.fast_lane import FastLane
from gateway.edge.fetches import Fetches
from gateway.edge.h2 import Http2Connection
from gateway.edge.insight import Looked
from gateway.edge.interfaces import AccessLog
from gateway.edge.last_call import HANDSHAKE_SECONDS, take_no_more
from gateway.edge.refreshing import Refreshes
from gateway.edge.site import Site
from gateway.edge.snapshot import Snapshot
from gateway.edge.tls import Certificates
from gateway.storage.purges import Purge

_TURNS = 3


class Gateway:
    """Serves one listening socket, and one with TLS, by the rules of a snapshot."""

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
        self._doors: list[Door] = []
        self._own: list[socket.socket] = []
        self._certificates: Certificates | None = None
        self.secure_address: tuple[str, int] | None = None
        """Where https is spoken; None for nowhere."""
        self._timers: list[asyncio.TimerHandle] = []
        self._standstill = Standstill(self.site.monotonic())

    async def start(self, listening: socket.socket) -> None:
        """Accept connections on *listening*, which is bound already."""
        site = self.site
        tls = site.snapshot.listening.tls
        if tls is not None:
            certificates = self._certificates = Certificates(tls)
            secure = bind(tls.host, tls.port)
            self.secure_address = secure.getsockname()[:2]
            self._own.append(secure)
            self._doors.append(
                await open_door(site, secure, self._secure_connection, certificates.context)
            )
        self._doors.append(await open_door(site, listening, self._connection, None))
        self._tick()
        self._sweep()

    def _connection(self, address: bytes) -> asyncio.Protocol:
        return ClientConnection(self.site, self._refreshes, self._lane, address)

    def _secure_connection(self, address: bytes) -> asyncio.Protocol:
        return Negotiated(
            lambda: self._connection(address),
            lambda: Http2Connection(self.site, self._refreshes, address),
        )

    def _tick(self) -> None:
        """Begin a new second."""
        self.site.tick()
        self.refresh_certificates()
        now = self.site.clock()
        loop = asyncio.get_running_loop()
        self._timers[:1] = [loop.call_later(1.0 - now % 1.0 + 0.001, self._tick)]

    def refresh_certificates(self) -> None:
        """Take certificates that changed on disk into force."""
        if self._certificates is not None:
            self._certificates.refresh()

    def _sweep(self) -> None:
        """Look for deadlines that passed."""
        loop = asyncio.get_running_loop()
        now = self.site.monotonic()
        if not self._standstill.excuses(now):
            self.site.watch.sweep(now)
        self._timers[1:] = [loop.call_later(RESOLUTION, self._sweep)]

    def adopt(self, snapshot: Snapshot) -> None:
        """Go by *snapshot* from now on; what is being answered ends as it began.

        Raises ConfigurationError when its certificates can't be used; then nothing changes.
        """
        tls = snapshot.listening.tls
        if self._certificates is not None and tls is not None:
            self._certificates.adopt(tls)
        self.site.adopt(snapshot)
        self._refreshes.fetches.side_by_side.clear()

    def purge(self, purges: list[Purge], place: int = 0, at: float | None = None) -> None:
        """Use nothing any more that *purges*, which began at *place*, forbid.

        What was asked for before *at* (epoch seconds) is meant; None is before now.
        """
        for purge in purges:
            for each in self.site.named(purge):
                self.site.purge(each, at)
        if self.site.fence is not None:
            self.site.fence.applied(place)
            self.site.wake()

    def remember(self, purged: list[tuple[Purge, float]]) -> None:
        """Note what was purged before we began, and when (epoch seconds)."""
        for purge, at in purged:
            for each in self.site.named(purge):
                self.site.purges.apply(each, at)

    def announce_to(self, tell: Callable[[list[Purge]], None]) -> None:
        """Call *tell* with each purge that begins here, for the others to hear."""
        self.site.announce = tell

    def report_to(self, tell: Callable[[list[tuple[str, bytes, int]]], None]) -> None:
        """Call *tell* with what passed rate limits that replicas keep together."""
        if self.site.snapshot.tiers.redis is not None:
            self.site.limiter.report(tell)

    async def drain(self, limit: float) -> None:
        """Accept no more, let running exchanges finish for *limit* seconds, and close."""
        site = self.site
        site.draining = True
        site.heads.clear()
        site.passes.clear()
        # What the kernel has accepted or received already is still ours to answer: each turn
        # of the loop takes all of it in, first the connections, then their requests.
        for each in self._own:
            take_no_more(each)
        await asyncio.sleep(HANDSHAKE_SECONDS)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for door in self._doors:
            door.close()
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
        if site.tiers is not None:
            await site.tiers.close()
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
