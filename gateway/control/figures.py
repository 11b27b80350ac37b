"""What the admin port tells about counts: their shape for programs, and how they come about."""

from typing import Any

import msgspec

from gateway.control import description
from gateway.control.history import Sample, quantile
from gateway.counters import Latencies, Reading, TierStatistics
from gateway.edge.insight import Failure, Uncached

_REMEDIES = {
    "cache-off": "its route says cache: off; a route with a ttl would keep it",
    "no-identity": "the route's scope asks for an identity that the request doesn't prove; "
    "scope: public shares it with everybody",
    "method": "only GET and HEAD are answered from the cache",
    "no-store": "the origin forbids it by no-store; override: [no-store] with a because keeps it",
    "private": "the origin says private; scope: user or org keeps it apart, override shares it",
    "set-cookie": "the answer sets a cookie; override: [set-cookie] with a because keeps the rest",
    "vary": "the origin varies on everything, or on what the rules bypass",
    "status": "nobody gives this status a lifetime; status_ttl does",
    "error": "errors live as long as status_ttl says",
    "useless": "nobody gives it a lifetime and it has no validator; a ttl does",
    "authorization": "the request carries Authorization and the origin doesn't say public",
    "request-no-store": "the client asked for no-store",
    "request-body": "a GET with a body isn't shared",
    "precondition": "If-Match and If-Unmodified-Since are for the origin",
    "content-type": "the route keeps other media types alone (cache.content_type)",
    "upgrade": "another protocol was asked for",
    "partial": "a part alone isn't kept; whole_for_range fetches the whole",
}


class RouteFigures(msgspec.Struct, frozen=True):
    """What became of one route's requests since the start."""

    route: str
    requests: int
    hits: int
    hit_rate: float
    body_bytes: int
    words: dict[str, int]
    """By the word of X-Cache."""
    statuses: dict[str, int]
    """By class, such as 2xx."""
    limited: int


class OriginFigures(msgspec.Struct, frozen=True):
    """How one origin does."""

    origin: str
    requests: int
    failures: dict[str, int]
    """By reason."""
    retries: int
    p50: float | None
    """Milliseconds until its answers begin; None before the first."""
    p95: float | None
    p99: float | None
    endpoints: dict[str, int]
    """By server: how many workers send requests to it; 0 where it is ejected or unhealthy."""


class TierFigures(msgspec.Struct, frozen=True):
    """What one tier below memory did since the start."""

    tier: str
    hits: int
    misses: int
    hit_rate: float | None
    """The share of look-ups that found something; None before the first."""
    sets: int
    deletes: int
    errors: int
    evictions: int
    dropped: int
    waits: int
    bytes: int
    objects: int
    up: bool


class Figures(msgspec.Struct, frozen=True):
    """Everything that is counted, summed over the workers."""

    requests: int
    hit_rate: float
    body_bytes: int
    routes: list[RouteFigures]
    origins: list[OriginFigures]
    refused: dict[str, int]
    """Requests refused before a route was found, by status."""
    store: dict[str, int]
    """bytes, limit_bytes, objects, evictions."""
    tiers: list[TierFigures]
    """Those below memory."""
    connections: int
    exchanges: int
    collapsed: int
    refreshes: int
    workers: int
    worker_restarts: int
    rules_loaded: float
    """Epoch seconds."""
    rules_error: str | None


class TopKeys(msgspec.Struct, frozen=True):
    """The busiest URLs."""

    by: str
    keys: list[dict[str, Any]]


class NotCached(msgspec.Struct, frozen=True):
    """One URL that isn't cached, and what would change that."""

    url: str
    route: str
    reason: str
    requests: int
    remedy: str


class NotCachedList(msgspec.Struct, frozen=True):
    """What isn't cached, the most asked for first."""

    urls: list[NotCached]


class Failures(msgspec.Struct, frozen=True):
    """What went wrong lately, the last first."""

    failures: list[dict[str, Any]]


class Samples(msgspec.Struct, frozen=True):
    """The last quarter of an hour, second by second."""

    samples: list[Sample]


class Versions(msgspec.Struct, frozen=True):
    """The versions of the rules that were in force before."""

    versions: list[Any]


class Problem(msgspec.Struct, frozen=True):
    """Why there is no answer, and what to do."""

    error: str


class RouteTold(msgspec.Struct, frozen=True):
    """One route: what holds there, and what became of its requests."""

    policy: dict[str, Any]
    """As `gateway show --json` tells it."""
    figures: RouteFigures | None
    """None where nobody has asked yet."""


class Routes(msgspec.Struct, frozen=True):
    """All routes, in the order of the file."""

    routes: list[RouteTold]


class StoredObject(msgspec.Struct, frozen=True):
    """What is stored for one URL, for whoever asks as was said."""

    target: str
    route: str
    asks_cache: bool
    """Whether such a request would be looked up at all."""
    workers: list[dict[str, Any]]
    """By worker: its name, whether it answered, and its variants with status, bytes, age,
    freshness, groups and the fields they depend on."""


def figures(
    reading: Reading, workers: int, restarts: int, loaded: float, error: str | None
) -> Figures:
    """Return what *reading* comes to, for people."""
    routes: dict[str, list[Any]] = {}
    for each in reading.requests:
        known = routes.setdefault(each.route, [0, 0, 0, {}, {}])
        words, statuses = known[3], known[4]
        known[0] += each.requests
        known[1] += each.requests if each.word in description.HITS else 0
        known[2] += each.body_bytes
        words[each.word] = words.get(each.word, 0) + each.requests
        status = f"{each.status_class}xx"
        statuses[status] = statuses.get(status, 0) + each.requests
    told = [
        RouteFigures(
            name, requests, hits, hits / max(1, requests), size, words, statuses,
            reading.limited.get(name, 0),
        )
        for name, (requests, hits, size, words, statuses) in sorted(routes.items())
    ]  # fmt: skip
    everything = sum(each.requests for each in told)
    names = sorted({*reading.origin_latency, *reading.endpoints_up, *reading.origin_failures})
    return Figures(
        requests=everything,
        hit_rate=sum(each.hits for each in told) / max(1, everything),
        body_bytes=sum(each.body_bytes for each in told),
        routes=told,
        origins=[_origin(name, reading) for name in names],
        refused={str(status): count for status, count in sorted(reading.refused.items())},
        store={
            "bytes": reading.store_bytes,
            "limit_bytes": reading.store_limit_bytes,
            "objects": reading.store_objects,
            "evictions": reading.store_evictions,
        },
        tiers=[_tier(name, counted) for name, counted in sorted(reading.tiers.items())],
        connections=reading.connections_open,
        exchanges=reading.exchanges_running,
        collapsed=reading.collapsed,
        refreshes=reading.refreshes,
        workers=workers,
        worker_restarts=restarts,
        rules_loaded=loaded,
        rules_error=error,
    )


def _tier(name: str, counted: TierStatistics) -> TierFigures:
    return TierFigures(
        tier=name,
        hits=counted.hits,
        misses=counted.misses,
        hit_rate=counted.hit_rate,
        sets=counted.sets,
        deletes=counted.deletes,
        errors=counted.errors,
        evictions=counted.evictions,
        dropped=counted.dropped,
        waits=counted.waits,
        bytes=counted.bytes,
        objects=counted.objects,
        up=bool(counted.up),
    )


def _origin(name: str, reading: Reading) -> OriginFigures:
    latencies = reading.origin_latency.get(name) or Latencies()
    p50, p95, p99 = (
        None if seconds is None else round(1000 * seconds, 3)
        for seconds in (quantile(latencies.buckets, share) for share in (0.5, 0.95, 0.99))
    )
    return OriginFigures(
        name,
        sum(latencies.buckets),
        reading.origin_failures.get(name, {}),
        reading.origin_retries.get(name, 0),
        p50,
        p95,
        p99,
        reading.endpoints_up.get(name, {}),
    )


def not_cached(each: Uncached) -> NotCached:
    """Return *each* with what would change it."""
    remedy = _REMEDIES.get(each.reason, "gateway explain says more")
    return NotCached(each.url, each.route, each.reason, each.requests, remedy)


def failure(each: Failure) -> dict[str, Any]:
    """Return *each* as JSON values, by name."""
    return {name: getattr(each, name) for name in each.__struct_fields__}
