"""A log under two sets of rules, side by side, in one pass."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from gateway.edge.snapshot import Snapshot
from gateway.errors import RequestRefused
from gateway.replay.origins import Origins
from gateway.replay.reading import Log, Request
from gateway.replay.simulation import HITS, LoggedIdentities, Prepared, Simulation, with_variant
from gateway.wire.fields import elements
from gateway.wire.message import RequestHead
from gateway.wire.target import host as normal_host
from gateway.wire.target import origin_form

_MOST_HEADS = 200_000
_PARTIAL = frozenset({206, 416})
_NOWHERE = "localhost"
"""The host of requests whose log names none."""

_Both = tuple[Prepared, Prepared]
_UNKNOWN: Any = object()


@dataclass(slots=True)
class Replayed:
    """What became of a log."""

    before: Simulation
    after: Simulation
    log: Log
    first: float = 0.0
    last: float = 0.0
    """Epoch seconds."""
    malformed: int = 0
    """Requests that would be refused before anybody looks for a route."""
    measured: int = 0
    """Requests whose line says what became of them."""
    measured_hits: int = 0
    guessed: int = 0
    """Requests about whose answer nothing was known."""
    seconds: float = 0.0
    """How long the replay took."""

    @property
    def measured_hit_rate(self) -> float | None:
        """The hit rate that the log itself tells; None where it doesn't."""
        return self.measured_hits / self.measured if self.measured else None


def replay(before: Snapshot, after: Snapshot, log: Log, lines: Iterable[bytes]) -> Replayed:
    """Return what becomes of the requests of *log* under either snapshot."""
    began = time.perf_counter()
    identities = LoggedIdentities()
    old, new = Simulation(before, identities), Simulation(after, identities)
    found = Replayed(old, new, log)
    origins = Origins()
    heads = _Heads(identities, old, new)
    for request in log.requests(lines):
        known = heads.of(request)
        if known is None:
            found.malformed += 1
            continue
        if not found.first:
            found.first = request.began
        found.last = request.began
        if request.word:
            found.measured += 1
            found.measured_hits += request.word in HITS
        answer = origins.answer(request)
        address = request.client.encode()
        at = request.began
        one, other, cookie = known
        old.play(at, one, cookie, address, answer, partial(new.keeps_apart, other))
        new.play(at, other, cookie, address, answer, partial(old.keeps_apart, one))
    old.finish()
    new.finish()
    found.guessed = origins.guessed
    found.seconds = time.perf_counter() - began
    return found


class _Heads:
    """The requests that clients made, as far as a log tells; each is made ready once."""

    def __init__(self, identities: LoggedIdentities, old: Simulation, new: Simulation) -> None:
        self._identities = identities
        self._sides = (old, new)
        rules = [route.cache for side in self._sides for route in side.site.snapshot.routes.routes]
        self._keyed = {name for each in rules for name in each.key_headers}
        self._cookies = sorted({name for each in rules for name in each.key_cookies})
        self._known: dict[tuple[object, ...], _Both | None] = {}

    def of(self, request: Request) -> tuple[Prepared, Prepared, bytes] | None:
        """Return *request* as either set of rules sees it, and who asks.

        None when it is no request that anybody would look at.
        """
        cookie = b""
        if request.user or request.org:
            cookie = self._identities.cookie_of(request.user, request.org)
        key = (
            request.method,
            request.host,
            request.target,
            request.asked,
            request.variant,
            request.status in _PARTIAL,
            request.said if request.variant else b"",
        )
        both = self._known.get(key, _UNKNOWN)
        if both is _UNKNOWN:
            both = self._prepared(request, b"")
            self._remember(key, both)
        if both is None:
            return None
        one, other = both
        if cookie and (one.by_identity or other.by_identity):
            mine_key = (*key, cookie)
            mine = self._known.get(mine_key, _UNKNOWN)
            if mine is _UNKNOWN:
                mine = self._prepared(request, cookie)
                self._remember(mine_key, mine)
            if mine is None:
                return None
            one = mine[0] if one.by_identity else one
            other = mine[1] if other.by_identity else other
        return one, other, cookie

    def _remember(self, key: tuple[object, ...], both: _Both | None) -> None:
        if len(self._known) >= _MOST_HEADS:
            self._known.clear()
        self._known[key] = both

    def _prepared(self, request: Request, cookie: bytes) -> _Both | None:
        try:
            old, new = self._sides
            return old.prepare(self._head(request, cookie)), new.prepare(
                self._head(request, cookie)
            )
        except RequestRefused:
            return None

    def _head(self, request: Request, cookie: bytes) -> RequestHead:
        fields: list[tuple[bytes, bytes]] = []
        cookies = [cookie] if cookie else []
        if request.variant:
            cookies += [b"%b=%b" % (name, request.variant.encode()) for name in self._cookies]
        if cookies:
            fields.append((b"cookie", b"; ".join(cookies)))
        if request.asked:
            fields.append((b"cache-control", request.asked.encode("latin-1", "replace")))
        if request.status in _PARTIAL:
            fields.append((b"range", b"bytes=0-"))
        names = set(self._keyed)
        if request.variant and request.said:
            names |= _vary(request.said)
        return RequestHead(
            request.method.encode("ascii", "replace"),
            origin_form(request.target.encode("utf-8")),
            1,
            normal_host((request.host or _NOWHERE).encode("utf-8")),
            with_variant(fields, names - {b"cookie", b"authorization"}, request.variant),
        )


def _vary(said: bytes) -> set[bytes]:
    told = msgspec.json.decode(said, type=dict[str, str]).get("vary", "")
    return {name.lower() for name in elements(told.encode("latin-1", "replace"))} - {b"*"}
