"""Purges on their way to the CDN in front: gathered, sent in the background, never waited for.

What operators and writes purge here, the CDN forgets, too, where a route says that it keeps copies
(`cdn: true`). Within a quarter of a second many purges become one call for each kind. The queue is
bounded: what doesn't fit becomes one purge of everything, which costs more and forgets nothing.
"""

import asyncio
import logging
import os
from collections.abc import Iterable

import aiohttp

from gateway.control.cloudflare import API, CdnError, Cloudflare, Named
from gateway.edge.snapshot import CdnSettings, Snapshot
from gateway.errors import MalformedRequest
from gateway.routing.route import Route
from gateway.storage.purges import Kind, Purge
from gateway.wire.target import origin_form

_log = logging.getLogger("gateway.cdn")

_GATHER_SECONDS = 0.25
_MOST_WAITING = 5000


class Propagation:
    """What waits to be purged at the CDN."""

    def __init__(self) -> None:
        self._waiting: dict[Named, dict[str, None]] = {what: {} for what in Named}
        self._everything = False
        self._wanted = asyncio.Event()
        self._settings: CdnSettings | None = None
        self.sent = 0
        """Names that the CDN was told, everything counting as one."""
        self.failed = 0
        """Calls that brought nothing in spite of all patience."""
        self.overflows = 0
        """Times that so much waited that everything was purged instead."""

    @property
    def counts(self) -> tuple[int, int, int]:
        """What was sent, what failed, and how often it was too much."""
        return self.sent, self.failed, self.overflows

    def take(self, purges: Iterable[Purge], snapshot: Snapshot | None) -> None:
        """Let the CDN of *snapshot*, if it has one, know of *purges*."""
        if snapshot is None or snapshot.cdn is None:
            return
        self._settings = snapshot.cdn
        if not any(route.cdn for route in _routes(snapshot)):
            return
        for purge in purges:
            self._note(purge, snapshot, snapshot.cdn)
        if self._everything or any(self._waiting.values()):
            self._wanted.set()

    def _note(self, purge: Purge, snapshot: Snapshot, cdn: CdnSettings) -> None:
        value = purge.value.decode("utf-8", "replace")
        hosts = [purge.host.decode("latin-1")] if purge.host else list(cdn.hosts)
        match purge.kind:
            case Kind.ALL | Kind.PATTERN:
                # A pattern can't be told to the CDN: more than it names is better than less.
                self._everything = True
            case Kind.HOST:
                self._add(Named.HOSTS, [value])
            case Kind.GROUP:
                self._add(Named.TAGS, [value])
            case Kind.URL if _keeps(snapshot, purge.value):
                schemes = ("https", "http")
                self._add(Named.URLS, [f"{s}://{host}{value}" for host in hosts for s in schemes])
            case Kind.PREFIX:
                self._add(Named.PREFIXES, [f"{host}{value}" for host in hosts])
            case Kind.ROUTE:
                if any(route.cdn and route.name == value for route in _routes(snapshot)):
                    self._everything = True
            case _:
                pass

    def _add(self, what: Named, values: list[str]) -> None:
        waiting = self._waiting[what]
        for value in values:
            waiting[value] = None
        if sum(map(len, self._waiting.values())) > _MOST_WAITING:
            self.overflows += 1
            self._everything = True
            for each in self._waiting.values():
                each.clear()
            _log.warning("so much is to be purged at the CDN that everything is")

    async def run(self) -> None:
        """Send what waits, for as long as this runs."""
        async with aiohttp.ClientSession() as session:
            while True:
                await self._wanted.wait()
                await asyncio.sleep(_GATHER_SECONDS)
                self._wanted.clear()
                await self._send(session)

    async def _send(self, session: aiohttp.ClientSession) -> None:
        settings = self._settings
        if settings is None:
            return
        api = os.environ.get("CLOUDFLARE_API", API)
        cdn = Cloudflare(session, settings.zone, settings.token, api=api)
        everything, self._everything = self._everything, False
        batches = {what: list(values) for what, values in self._waiting.items() if values}
        for values in self._waiting.values():
            values.clear()
        try:
            if everything:
                await cdn.purge_everything()
                self.sent += 1
                return
            for what, names in batches.items():
                await cdn.purge(what, names)
                self.sent += len(names)
        except CdnError as error:
            self.failed += 1
            counted = ", ".join(f"{len(some)} {what.value}" for what, some in batches.items())
            lost = "everything" if everything else counted
            _log.error("the CDN still has what was purged (%s): %s", lost, error)


def _routes(snapshot: Snapshot) -> tuple[Route, ...]:
    return snapshot.routes.routes


def _keeps(snapshot: Snapshot, target: bytes) -> bool:
    """Return whether the CDN keeps what the route of *target* delivers."""
    try:
        path = origin_form(target).path
    except MalformedRequest:
        return False
    return snapshot.routes.find(b"GET", path).cdn
