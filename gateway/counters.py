"""What a worker counts: plain integers, added up by the supervisor.

The hot path adds to these and nothing else; names and labels for Prometheus are given on
the admin side (`control/metrics.py`).
"""

from bisect import bisect_left
from collections import defaultdict

import msgspec

LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency buckets in seconds; a last bucket takes what is slower."""

RequestLabels = tuple[str, str, int]
"""(route name, X-Cache word, status class 1 to 5)."""


class Latencies(msgspec.Struct):
    """A histogram: how many answers fell below each of `LATENCY_BOUNDS`, not cumulated."""

    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))
    total: float = 0.0
    """Seconds, of all together."""

    def observe(self, seconds: float) -> None:
        """Count one answer that took *seconds*."""
        self.buckets[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self.total += seconds


class RequestCount(msgspec.Struct):
    """One set of labels and what was counted under it."""

    route: str
    word: str
    status_class: int
    requests: int
    body_bytes: int


class EncodingCount(msgspec.Struct):
    """What one route's bodies cost and saved in one coding at one level."""

    route: str
    coding: str
    level: int
    bodies: int = 0
    plain_bytes: int = 0
    """What went into the encoder."""
    encoded_bytes: int = 0
    """What came out."""
    seconds: float = 0.0
    """Of processor time."""


class TierStatistics(msgspec.Struct):
    """The counts of one tier in one worker, since its start."""

    hits: int = 0
    misses: int = 0
    sets: int = 0
    deletes: int = 0
    errors: int = 0
    """Look-ups and writes that failed, damaged and foreign values included."""
    damaged: int = 0
    """Values that weren't whole records of ours."""
    evictions: int = 0
    dropped: int = 0
    """Writes that were let go because too many waited."""
    bytes: int = 0
    """What it holds; of a tier that workers share, all of it."""
    objects: int = 0
    up: int = 0
    """1 while it is in use, 0 while it is left alone."""
    waits: int = 0
    """Requests that waited for what another worker or replica was fetching."""

    @property
    def hit_rate(self) -> float | None:
        """The share of look-ups that found something, 0 to 1; None before the first."""
        total = self.hits + self.misses
        return self.hits / total if total else None


class Reading(msgspec.Struct):
    """All the counts of one worker at one instant, as sent to the supervisor."""

    requests: list[RequestCount]
    origin_latency: dict[str, Latencies]
    origin_failures: dict[str, dict[str, int]]
    """By origin, then by the reason word of the error."""
    endpoints_up: dict[str, dict[str, int]] = {}
    """By origin and endpoint: 1 where it gets requests, in a sum the number of workers."""
    origin_retries: dict[str, int] = {}
    """Requests tried again, by origin."""
    received_bytes: int = 0
    """Bytes that arrived from clients, heads included."""
    refused: dict[int, int] = {}
    """Requests refused before a route was found, by status."""
    connections_accepted: int = 0
    connections_open: int = 0
    origin_connections_open: int = 0
    exchanges_running: int = 0
    store_bytes: int = 0
    store_limit_bytes: int = 0
    store_objects: int = 0
    store_evictions: int = 0
    collapsed: int = 0
    """Requests that waited for another's fetch."""
    clients_cut_off: int = 0
    """Connections closed because answers that nobody took held too much memory."""
    refreshes: int = 0
    """Fetches begun behind the clients' backs."""
    log_lines_dropped: int = 0
    encodings: list[EncodingCount] = []
    limited: dict[str, int] = {}
    rendered: dict[str, dict[str, int]] = {}
    """Renditions by route, and by ``made`` or why the source is sent instead."""
    """Requests beyond a rate limit, by route."""
    tiers: dict[str, TierStatistics] = {}
    """By tier below memory."""


class Counters:
    """The counts of one worker."""

    __slots__ = (
        "body_bytes",
        "clients_cut_off",
        "collapsed",
        "connections_accepted",
        "connections_open",
        "encodings",
        "endpoints_up",
        "exchanges_running",
        "limited",
        "log_lines_dropped",
        "origin_connections_open",
        "origin_failures",
        "origin_latency",
        "origin_retries",
        "received_bytes",
        "refreshes",
        "refused",
        "rendered",
        "requests",
        "store_bytes",
        "store_evictions",
        "store_limit_bytes",
        "store_objects",
        "tiers",
    )

    def __init__(self) -> None:
        self.requests: defaultdict[RequestLabels, int] = defaultdict(int)
        self.body_bytes: defaultdict[RequestLabels, int] = defaultdict(int)
        self.origin_latency: defaultdict[str, Latencies] = defaultdict(Latencies)
        self.origin_failures: defaultdict[str, defaultdict[str, int]] = defaultdict(
            lambda: defaultdict(int)
        )
        self.endpoints_up: dict[str, dict[str, int]] = {}
        self.origin_retries: defaultdict[str, int] = defaultdict(int)
        self.refused: defaultdict[int, int] = defaultdict(int)
        self.received_bytes = 0
        self.connections_accepted = 0
        self.connections_open = 0
        self.origin_connections_open = 0
        self.exchanges_running = 0
        self.store_bytes = 0
        self.store_limit_bytes = 0
        self.store_objects = 0
        self.store_evictions = 0
        self.collapsed = 0
        self.refreshes = 0
        self.clients_cut_off = 0
        self.log_lines_dropped = 0
        self.encodings: dict[tuple[str, str, int], EncodingCount] = {}
        self.limited: defaultdict[str, int] = defaultdict(int)
        self.rendered: defaultdict[str, defaultdict[str, int]] = defaultdict(
            lambda: defaultdict(int)
        )
        self.tiers: dict[str, TierStatistics] = {}

    def encoded(
        self, labels: tuple[str, str, int], plain_bytes: int, encoded_bytes: int, seconds: float
    ) -> None:
        """Count a body that was encoded; *labels* are route, coding and level."""
        count = self.encodings.get(labels)
        if count is None:
            count = self.encodings[labels] = EncodingCount(*labels)
        count.bodies += 1
        count.plain_bytes += plain_bytes
        count.encoded_bytes += encoded_bytes
        count.seconds += seconds

    def reading(self) -> Reading:
        """Return all counts as they stand."""
        return Reading(
            requests=[
                RequestCount(*labels, requests=count, body_bytes=self.body_bytes[labels])
                for labels, count in self.requests.items()
            ],
            origin_latency=dict(self.origin_latency),
            origin_failures={name: dict(why) for name, why in self.origin_failures.items()},
            endpoints_up=self.endpoints_up,
            origin_retries=dict(self.origin_retries),
            refused=dict(self.refused),
            received_bytes=self.received_bytes,
            connections_accepted=self.connections_accepted,
            connections_open=self.connections_open,
            origin_connections_open=self.origin_connections_open,
            exchanges_running=self.exchanges_running,
            store_bytes=self.store_bytes,
            store_limit_bytes=self.store_limit_bytes,
            store_objects=self.store_objects,
            store_evictions=self.store_evictions,
            collapsed=self.collapsed,
            refreshes=self.refreshes,
            clients_cut_off=self.clients_cut_off,
            log_lines_dropped=self.log_lines_dropped,
            encodings=list(self.encodings.values()),
            limited=dict(self.limited),
            rendered={name: dict(why) for name, why in self.rendered.items()},
            tiers=self.tiers,
        )
