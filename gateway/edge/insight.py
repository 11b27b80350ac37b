"""What operators ask about most: the busiest URLs, what isn't cached and why, what went wrong.

Bounded and therefore approximate: of many thousand URLs the least asked for are forgotten, and
count from nothing when they return. The counts of repeated heads come in once a second, with
those of the metrics; the fast lane itself does nothing here for them.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from gateway.edge.asked import Asking, Cacheable, Settled
from gateway.policy import storing
from gateway.policy.age import arrived
from gateway.policy.reuse import Forwarded
from gateway.policy.stored import StoredResponse
from gateway.wire.message import RequestHead, ResponseHead

_MOST: Final = 4096
"""URLs that outlast a clearing; there may be twice as many before one."""
_LONGEST: Final = 300
"""Characters of a URL that are kept."""
_ERRORS: Final = 50


class Key(msgspec.Struct, array_like=True):
    """What is counted of one URL."""

    url: str
    """Host, path and query."""
    route: str
    hits: int = 0
    misses: int = 0
    """Requests that went to the origin although the cache was asked."""
    body_bytes: int = 0
    """Sent for hits."""


class Uncached(msgspec.Struct, array_like=True):
    """How often one URL wasn't cached, for one reason."""

    url: str
    route: str
    reason: str
    requests: int = 0


class Failure(msgspec.Struct, array_like=True):
    """One request that went wrong."""

    at: float
    """Epoch seconds."""
    method: str
    url: str
    route: str
    origin: str
    status: int
    error: str
    """What happened, in a word; empty when the origin itself answered so."""


class Looked(msgspec.Struct):
    """What one worker has noticed since its start."""

    keys: list[Key] = []
    uncached: list[Uncached] = []
    failures: list[Failure] = []


class Insight:
    """What one worker notices."""

    __slots__ = ("_clock", "_failures", "_keys", "_uncached")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._keys: dict[tuple[bytes, bytes], Key] = {}
        self._uncached: dict[tuple[str, bytes, bytes, str], Uncached] = {}
        self._failures: deque[Failure] = deque(maxlen=_ERRORS)

    def hits(self, stored: StoredResponse, count: int, body_bytes: int) -> None:
        """Count *count* deliveries of *stored*, with *body_bytes* each."""
        filed = stored.filed
        known = self._keys.get((filed.host, filed.target))
        if known is None:
            known = self._new(filed.host, filed.target, filed.route)
        known.hits += count
        known.body_bytes += count * body_bytes

    def asked(
        self,
        head: RequestHead,
        asked: Asking,
        answer: ResponseHead | None,
        *,
        served: bool,
        count: int = 1,
        body_bytes: int = 0,
    ) -> None:
        """Count *count* requests with *head*.

        *answer* is what the origin said, None when it wasn't asked; *served* tells that the
        answer was made of what was stored.
        """
        if isinstance(asked, Settled):
            return
        route = asked.route.name
        if isinstance(asked, Cacheable):
            target = head.target.encode()
            known = self._keys.get((head.host, target))
            if known is None:
                known = self._new(head.host, target, route)
            if served:
                known.hits += count
                known.body_bytes += count * body_bytes
                return
            known.misses += count
        reason = why_uncached(head, asked, answer)
        if reason is not None:
            self._not_cached(route, head, reason, count)

    def failed(self, head: RequestHead, route: str, origin: str, status: int, error: str) -> None:
        """Note that a request was answered with an error, or not at all."""
        self._failures.append(
            Failure(
                self._clock(),
                head.method.decode("ascii", "backslashreplace"),
                _url(head.host, head.target.encode()),
                route,
                origin,
                status,
                error,
            )
        )

    def looked(self, most: int) -> Looked:
        """Return the *most* busy URLs by hits, misses and bytes, what isn't cached, and errors."""
        keys = self._keys.values()
        busiest: dict[int, Key] = {}
        for rank in (_by_hits, _by_misses, _by_bytes):
            for key in sorted(keys, key=rank, reverse=True)[:most]:
                busiest[id(key)] = key
        uncached = sorted(self._uncached.values(), key=_by_requests, reverse=True)[:most]
        return Looked(list(busiest.values()), uncached, list(self._failures))

    def _new(self, host: bytes, target: bytes, route: str) -> Key:
        if len(self._keys) >= 2 * _MOST:
            kept = sorted(self._keys.items(), key=lambda item: _by_requests_of(item[1]))[-_MOST:]
            self._keys = dict(kept)
        key = self._keys[host, target] = Key(_url(host, target), route)
        return key

    def _not_cached(self, route: str, head: RequestHead, reason: str, count: int) -> None:
        target = head.target.encode()
        key = (route, head.host, target, reason)
        known = self._uncached.get(key)
        if known is None:
            if len(self._uncached) >= 2 * _MOST:
                kept = sorted(self._uncached.items(), key=lambda item: item[1].requests)[-_MOST:]
                self._uncached = dict(kept)
            known = self._uncached[key] = Uncached(_url(head.host, target), route, reason)
        known.requests += count


def why_uncached(head: RequestHead, asked: Asking, answer: ResponseHead | None) -> str | None:
    """Return in a word why the answer to *head* can't be shared; None when it can.

    Without *answer* nobody knows.
    """
    rules = asked.route.cache
    if not isinstance(asked, Cacheable):
        if not rules.enabled:
            return storing.Unstorable.OFF.value
        if isinstance(asked, Settled) or asked.why is Forwarded.METHOD:
            return Forwarded.METHOD.value
        index = head.fields.index()
        if b"if-match" in index or b"if-unmodified-since" in index:
            return "precondition"
        if b"upgrade" in index:
            return "upgrade"
        if b"content-length" in index or b"transfer-encoding" in index:
            return "request-body"
        return "no-identity"
    if answer is None or head.method != b"GET":
        return None
    decision = storing.decide(head, answer, rules, arrived(answer.fields, 0.0, 0.0))
    return decision.why.value if isinstance(decision, storing.Pass) else None


def merged(found: Iterable[Looked]) -> Looked:
    """Return what several workers have noticed, together."""
    keys: dict[str, Key] = {}
    uncached: dict[tuple[str, str, str], Uncached] = {}
    failures: list[Failure] = []
    for each in found:
        for key in each.keys:
            sum_ = keys.setdefault(key.url, Key(key.url, key.route))
            sum_.hits += key.hits
            sum_.misses += key.misses
            sum_.body_bytes += key.body_bytes
        for one in each.uncached:
            all_ = uncached.setdefault(
                (one.route, one.url, one.reason), Uncached(one.url, one.route, one.reason)
            )
            all_.requests += one.requests
        failures += each.failures
    failures.sort(key=lambda failure: failure.at, reverse=True)
    return Looked(list(keys.values()), sorted(uncached.values(), key=_by_requests, reverse=True),
                  failures[:_ERRORS])  # fmt: skip


def _url(host: bytes, target: bytes) -> str:
    text = (host + target).decode("ascii", "backslashreplace")
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _by_hits(key: Key) -> int:
    return key.hits


def _by_misses(key: Key) -> int:
    return key.misses


def _by_bytes(key: Key) -> int:
    return key.body_bytes


def _by_requests_of(key: Key) -> int:
    return key.hits + key.misses


def _by_requests(uncached: Uncached) -> int:
    return uncached.requests
