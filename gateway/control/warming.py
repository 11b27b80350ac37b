"""Fetching again what is in demand, before clients wait for it: after a purge, and at the start.

The busiest public URLs are remembered, on disk too. After a purge they are asked for like
any client would, at the public port, and never faster than the rules allow: what wasn't purged
is a hit and costs nothing, and what was purged costs the origin one fetch within that budget.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec

from gateway.control.addresses import Address
from gateway.edge.insight import Looked
from gateway.edge.snapshot import Snapshot
from gateway.policy.rules import Scope

_log = logging.getLogger(__name__)

_REMEMBERED_EVERY = 30.0
_SETTLED_SECONDS = 0.05
"""After a purge, for others that come with it."""
_ASKED_SECONDS = 10.0
_BESIDE = 8
"""Requests under way at a time."""


class Warmer:
    """Keeps what is in demand in the cache."""

    def __init__(
        self,
        address: Callable[[], Address],
        snapshot: Callable[[], Snapshot | None],
        look: Callable[[int], Awaitable[Looked]],
    ) -> None:
        """Ask at *address*; *look* returns what is busiest of so many URLs."""
        self._address = address
        self._snapshot = snapshot
        self._look = look
        self._wanted = asyncio.Event()
        self._known: list[str] = []
        self._file: Path | None = None
        self.asked = 0
        """Requests sent since the start."""

    def remember_in(self, folder: Path) -> None:
        """Keep what is busiest in *folder*, and begin with what was kept there."""
        self._file = folder / "popular.json"
        with contextlib.suppress(OSError, msgspec.DecodeError):
            self._known = msgspec.json.decode(self._file.read_bytes(), type=list[str])
        if self._known:
            self._wanted.set()

    def purged(self) -> None:
        """Fetch again what is in demand: some of it may have been purged."""
        self._wanted.set()

    async def run(self) -> None:
        """Remember what is busy, and fetch it when that is due, until cancelled."""
        while True:
            wanted = await self._is_wanted()
            await self._remember()
            if wanted:
                await self._warm()

    async def _is_wanted(self) -> bool:
        """Wait until something was purged, or for a while; return which."""
        try:
            async with asyncio.timeout(_REMEMBERED_EVERY):
                await self._wanted.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(_SETTLED_SECONDS)
        self._wanted.clear()
        return True

    async def _remember(self) -> None:
        """Take over which public URLs are busiest now."""
        snapshot = self._snapshot()
        if snapshot is None or snapshot.warm is None:
            return
        public = {
            route.name
            for route in snapshot.routes.routes
            if route.cache.enabled and route.cache.scope in (Scope.PUBLIC, Scope.SHARED)
        }
        most = snapshot.warm.most
        looked = await self._look(4 * most)
        busy = sorted(looked.keys, key=lambda key: -(key.hits + key.misses))
        found = [key.url for key in busy if key.route in public]
        self._known = list(dict.fromkeys([*found, *self._known]))[:most]
        if self._file is not None and self._known:
            with contextlib.suppress(OSError):
                new = self._file.with_suffix(".new")
                new.write_bytes(msgspec.json.encode(self._known))
                new.replace(self._file)

    async def _warm(self) -> None:
        snapshot = self._snapshot()
        if snapshot is None or snapshot.warm is None or not self._known:
            return
        pause = 1.0 / snapshot.warm.rate
        limit = asyncio.Semaphore(_BESIDE)
        timeout = aiohttp.ClientTimeout(total=_ASKED_SECONDS)
        async with (
            aiohttp.ClientSession(f"http://{self._address()}", timeout=timeout) as session,
            asyncio.TaskGroup() as group,
        ):
            for number, url in enumerate(list(self._known)):
                if number:
                    await asyncio.sleep(pause)
                await limit.acquire()
                group.create_task(self._ask(session, url, limit))

    async def _ask(
        self, session: aiohttp.ClientSession, url: str, limit: asyncio.Semaphore
    ) -> None:
        host, _, target = url.partition("/")
        try:
            headers = {"Host": host, "Accept-Encoding": "br, gzip", "User-Agent": "gateway-warm"}
            async with session.get(f"/{target}", headers=headers, allow_redirects=False) as answer:
                await answer.read()
            self.asked += 1
        except (aiohttp.ClientError, TimeoutError, ValueError):
            # It is asked for again when a client wants it.
            _log.debug("%s couldn't be fetched again", url)
        finally:
            limit.release()
