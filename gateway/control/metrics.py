"""The workers' counts as Prometheus reads them; `docs/metrics.md` explains each.

Made from one reading per scrape, so nothing is registered, kept or locked between two.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.counters import LATENCY_BOUNDS, Latencies, Reading

_REQUEST_LABELS = ("route", "cache", "status_class")


@dataclass(frozen=True, slots=True)
class Facts:
    """What one scrape tells."""

    reading: Reading
    """The sum over all workers, dead ones included."""
    workers: int
    """How many accept connections."""
    worker_restarts: int
    rules_loaded: float
    """Epoch seconds."""
    rules_current: bool = True
    """Whether the rules in force are what the file says."""
    rules_failures: int = 0
    """Times that a change of the rules file couldn't be used."""
    cdn: tuple[int, int, int] = (0, 0, 0)
    """Names purged at the CDN, calls that failed, and times that everything was purged instead."""
    replicas: "ReplicaFacts | None" = None
    """None when there are no others."""
    database: "BridgeFacts | None" = None
    """None when purges don't come from a database."""


@dataclass(frozen=True, slots=True)
class BridgeFacts:
    """What is told about the bridge from the database."""

    connected: bool
    applied: int
    reconnects: int
    lag: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class ReplicaFacts:
    """What is told about the other gateways."""

    attached: bool
    lag: float
    """Seconds."""
    heard: int
    published: int


def exposition(facts: Facts, accept: str) -> tuple[bytes, str]:
    """Return the page and its media type, in the form that *accept* prefers."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(facts))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class _Page(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, those about requests first."""
        yield from _requests(self._facts.reading)
        yield from _origins(self._facts.reading)
        yield from _encodings(self._facts.reading)
        yield from _tiers(self._facts.reading)
        for name, text, field in _COUNTERS:
            yield CounterMetricFamily(name, text, value=getattr(self._facts.reading, field))
        for name, text, field in _GAUGES:
            yield GaugeMetricFamily(name, text, value=getattr(self._facts.reading, field))
        yield from _beside(_REPLICAS, self._facts.replicas)
        yield from _beside(_DATABASE, self._facts.database)
        yield from _gateway(self._facts)


_COUNTERS = (
    ("gateway_received_bytes", "Bytes that arrived from clients, heads included", "received_bytes"),
    ("gateway_store_evictions", "Stored responses evicted for room", "store_evictions"),
    ("gateway_connections_accepted", "Connections accepted", "connections_accepted"),
    ("gateway_collapsed_requests", "Requests that waited for another's fetch", "collapsed"),
    (
        "gateway_clients_cut_off",
        "Connections closed because answers that nobody took held too much memory",
        "clients_cut_off",
    ),
    ("gateway_refreshes", "Fetches begun behind the clients' backs", "refreshes"),
    ("gateway_access_log_dropped", "Access log lines that were lost", "log_lines_dropped"),
)

_GAUGES = (
    ("gateway_store_bytes", "Bytes that the memory stores hold", "store_bytes"),
    ("gateway_store_limit_bytes", "Bytes that the memory stores may hold", "store_limit_bytes"),
    ("gateway_store_objects", "Stored responses in memory", "store_objects"),
    ("gateway_connections_open", "Open connections of clients", "connections_open"),
    ("gateway_origin_connections_open", "Open connections to origins", "origin_connections_open"),
    ("gateway_exchanges_running", "Exchanges outside the fast lane", "exchanges_running"),
)


def _requests(reading: Reading) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "gateway_requests", "Requests answered, by route and X-Cache word", labels=_REQUEST_LABELS
    )
    body_bytes = CounterMetricFamily(
        "gateway_response_body_bytes", "Body bytes sent to clients", labels=_REQUEST_LABELS
    )
    for count in reading.requests:
        labels = (count.route, count.word, f"{count.status_class}xx")
        requests.add_metric(labels, count.requests)
        body_bytes.add_metric(labels, count.body_bytes)
    refused = CounterMetricFamily(
        "gateway_refused_requests", "Requests refused before a route was found", labels=["status"]
    )
    for status, times in sorted(reading.refused.items()):
        refused.add_metric([str(status)], times)
    limited = CounterMetricFamily(
        "gateway_limited_requests", "Requests beyond a rate limit", labels=["route"]
    )
    for route, times in sorted(reading.limited.items()):
        limited.add_metric([route], times)
    yield from (requests, body_bytes, refused, limited)


def _origins(reading: Reading) -> Iterator[Metric]:
    seconds = HistogramMetricFamily(
        "gateway_origin_response_seconds",
        "From sending a request to the origin's response head",
        labels=["origin"],
    )
    for origin, observed in sorted(reading.origin_latency.items()):
        seconds.add_metric([origin], _cumulated(observed), sum_value=observed.total)
    failures = CounterMetricFamily(
        "gateway_origin_failures",
        "Requests to an origin that brought no complete response head",
        labels=["origin", "reason"],
    )
    for origin, reasons in sorted(reading.origin_failures.items()):
        for reason, times in sorted(reasons.items()):
            failures.add_metric([origin, reason], times)
    retries = CounterMetricFamily(
        "gateway_origin_retries", "Requests that were tried again", labels=["origin"]
    )
    for origin, times in sorted(reading.origin_retries.items()):
        retries.add_metric([origin], times)
    up = GaugeMetricFamily(
        "gateway_origin_endpoint_up",
        "Workers that send requests to this server; 0 while it is ejected or unhealthy",
        labels=["origin", "endpoint"],
    )
    for origin, endpoints in sorted(reading.endpoints_up.items()):
        for endpoint, workers in sorted(endpoints.items()):
            up.add_metric([origin, endpoint], workers)
    yield from (seconds, failures, retries, up)


def _encodings(reading: Reading) -> Iterator[Metric]:
    labels = ("route", "encoding", "level")
    bodies = CounterMetricFamily("gateway_encoded_bodies", "Bodies encoded", labels=labels)
    plain = CounterMetricFamily(
        "gateway_encoding_input_bytes", "Bytes that went into encoders", labels=labels
    )
    encoded = CounterMetricFamily(
        "gateway_encoding_output_bytes", "Bytes that came out of encoders", labels=labels
    )
    seconds = CounterMetricFamily(
        "gateway_encoding_cpu_seconds", "Processor time that encoding took", labels=labels
    )
    for each in reading.encodings:
        values = (each.route, each.coding, str(each.level))
        bodies.add_metric(values, each.bodies)
        plain.add_metric(values, each.plain_bytes)
        encoded.add_metric(values, each.encoded_bytes)
        seconds.add_metric(values, each.seconds)
    rendered = CounterMetricFamily(
        "gateway_image_renditions",
        "Renditions of pictures made, or why the source is sent instead",
        labels=["route", "outcome"],
    )
    for route, outcomes in sorted(reading.rendered.items()):
        for outcome, times in sorted(outcomes.items()):
            rendered.add_metric([route, outcome], times)
    yield from (bodies, plain, encoded, seconds, rendered)


_TIER_COUNTS = (
    ("gateway_tier_hits", "Look-ups that found a response", "hits"),
    ("gateway_tier_misses", "Look-ups that found none", "misses"),
    ("gateway_tier_sets", "Responses written", "sets"),
    ("gateway_tier_deletes", "Responses removed", "deletes"),
    ("gateway_tier_errors", "Look-ups and writes that failed", "errors"),
    ("gateway_tier_damaged", "Values that weren't whole records", "damaged"),
    ("gateway_tier_evictions", "Responses evicted for room", "evictions"),
    ("gateway_tier_dropped", "Writes let go because too many waited", "dropped"),
    ("gateway_tier_waits", "Requests that waited for another's fetch", "waits"),
)
_TIER_GAUGES = (
    ("gateway_tier_bytes", "Bytes that the tier holds", "bytes"),
    ("gateway_tier_objects", "Keys that the tier holds", "objects"),
    ("gateway_tier_up", "1 while a worker uses the tier, 0 while all leave it alone", "up"),
)


def _tiers(reading: Reading) -> Iterator[Metric]:
    for name, text, field in _TIER_COUNTS:
        counter = CounterMetricFamily(name, text, labels=["tier"])
        for tier, counted in sorted(reading.tiers.items()):
            counter.add_metric([tier], getattr(counted, field))
        yield counter
    for name, text, field in _TIER_GAUGES:
        gauge = GaugeMetricFamily(name, text, labels=["tier"])
        for tier, counted in sorted(reading.tiers.items()):
            gauge.add_metric([tier], getattr(counted, field))
        yield gauge


def _cumulated(observed: Latencies) -> list[tuple[str, float]]:
    """Return (upper bound, answers no slower) pairs, the last for all."""
    pairs: list[tuple[str, float]] = []
    below = 0
    for bound, times in zip((*LATENCY_BOUNDS, None), observed.buckets, strict=True):
        below += times
        pairs.append(("+Inf" if bound is None else str(bound), below))
    return pairs


def _gateway(facts: Facts) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "gateway_workers", "Worker processes that accept connections", value=facts.workers
    )
    yield CounterMetricFamily(
        "gateway_worker_restarts",
        "Worker processes that were started in place of another",
        value=facts.worker_restarts,
    )
    yield GaugeMetricFamily(
        "gateway_rules_loaded_timestamp_seconds",
        "When the rules in force were loaded, epoch seconds",
        value=facts.rules_loaded,
    )
    yield GaugeMetricFamily(
        "gateway_rules_current",
        "1 while the rules in force are what the file says, 0 while the file can't be used",
        value=int(facts.rules_current),
    )
    yield CounterMetricFamily(
        "gateway_rules_reload_failures",
        "Changes of the rules file that couldn't be used",
        value=facts.rules_failures,
    )
    for (name, text), value in zip(_CDN, facts.cdn, strict=True):
        yield CounterMetricFamily(name, text, value=value)
    build = GaugeMetricFamily("gateway_build_info", "Always 1; the labels tell", labels=["version"])
    build.add_metric([_version()], 1)
    yield build


_CDN = (
    ("gateway_cdn_purged", "Names purged at the CDN"),
    ("gateway_cdn_failures", "Calls to the CDN that failed in spite of all patience"),
    ("gateway_cdn_overflows", "Times that everything was purged at the CDN for want of room"),
)


_Kind = type[GaugeMetricFamily | CounterMetricFamily]


def _beside(
    families: tuple[tuple[_Kind, str, str, str], ...], facts: ReplicaFacts | BridgeFacts | None
) -> Iterator[Metric]:
    """Yield what is told of another program, where there is one."""
    for kind, name, text, field in families:
        family = kind(name, text, labels=())
        if facts is not None:
            family.add_metric((), float(getattr(facts, field)))
        yield family


_DATABASE: tuple[tuple[_Kind, str, str, str], ...] = (
    (
        GaugeMetricFamily,
        "gateway_bridge_connected",
        "1 while purges of the database come in, 0 while they wait there",
        "connected",
    ),
    (CounterMetricFamily, "gateway_bridge_groups", "Groups that the database purged", "applied"),
    (CounterMetricFamily, "gateway_bridge_reconnects", "Connections lost", "reconnects"),
    (
        GaugeMetricFamily,
        "gateway_bridge_lag_seconds",
        "From the last change noted in the database to its purge",
        "lag",
    ),
)
_REPLICAS: tuple[tuple[_Kind, str, str, str], ...] = (
    (
        GaugeMetricFamily,
        "gateway_replicas_attached",
        "1 while purges of other replicas come in, 0 while this one goes by itself",
        "attached",
    ),
    (
        GaugeMetricFamily,
        "gateway_replicas_lag_seconds",
        "From the last purge of another replica to its application here",
        "lag",
    ),
    (CounterMetricFamily, "gateway_replicas_heard", "Purges of other replicas", "heard"),
    (CounterMetricFamily, "gateway_replicas_published", "Purges told to others", "published"),
)


def _version() -> str:
    try:
        return version("hub-gateway")
    except PackageNotFoundError:
        # Run from a tree that was never installed.
        return "unknown"
