"""Readings of several workers, added up.

A counter must never go backwards, or every rate over it shows a spike: what a worker
counted stays in the sum when it dies. What it merely held at the time (connections, bytes
in its store) died with it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from gateway.counters import (
    LATENCY_BOUNDS,
    EncodingCount,
    Latencies,
    Reading,
    RequestCount,
    TierStatistics,
)


def nothing() -> Reading:
    """Return the reading of a worker that has done nothing."""
    return Reading(requests=[], origin_latency={}, origin_failures={})


def total(readings: Iterable[Reading]) -> Reading:
    """Return the sum of *readings*, which stay as they are."""
    requests: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0])
    latency: dict[str, Latencies] = defaultdict(Latencies)
    failures: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    rendered: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    refused: dict[int, int] = defaultdict(int)
    retries: dict[str, int] = defaultdict(int)
    limited: dict[str, int] = defaultdict(int)
    up: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    encodings: dict[tuple[str, str, int], EncodingCount] = {}
    tiers: dict[str, TierStatistics] = defaultdict(TierStatistics)
    whole = nothing()
    for reading in readings:
        for count in reading.requests:
            both = requests[count.route, count.word, count.status_class]
            both[0] += count.requests
            both[1] += count.body_bytes
        for origin, observed in reading.origin_latency.items():
            into = latency[origin]
            for place in range(len(LATENCY_BOUNDS) + 1):
                into.buckets[place] += observed.buckets[place]
            into.total += observed.total
        _add_named(failures, reading.origin_failures)
        _add_named(up, reading.endpoints_up)
        _add_named(rendered, reading.rendered)
        for origin, times in reading.origin_retries.items():
            retries[origin] += times
        for status, times in reading.refused.items():
            refused[status] += times
        for route, times in reading.limited.items():
            limited[route] += times
        _add_encodings(encodings, reading.encodings)
        for tier, counted in reading.tiers.items():
            _add(tiers[tier], counted)
        for name in _PLAIN:
            setattr(whole, name, getattr(whole, name) + getattr(reading, name))
    whole.requests = [RequestCount(*labels, *both) for labels, both in sorted(requests.items())]
    whole.origin_latency = dict(latency)
    whole.origin_failures = {origin: dict(reasons) for origin, reasons in failures.items()}
    whole.rendered = {route: dict(outcomes) for route, outcomes in rendered.items()}
    whole.refused = dict(refused)
    whole.origin_retries = dict(retries)
    whole.limited = dict(limited)
    whole.endpoints_up = {origin: dict(each) for origin, each in up.items()}
    whole.tiers = dict(tiers)
    whole.encodings = [encodings[labels] for labels in sorted(encodings)]
    return whole


def _add_named(into: dict[str, dict[str, int]], counts: Mapping[str, Mapping[str, int]]) -> None:
    for name, each in counts.items():
        for what, times in each.items():
            into[name][what] += times


def _add_encodings(
    encodings: dict[tuple[str, str, int], EncodingCount], counted: Iterable[EncodingCount]
) -> None:
    for each in counted:
        labels = (each.route, each.coding, each.level)
        whole = encodings.setdefault(labels, EncodingCount(*labels))
        whole.bodies += each.bodies
        whole.plain_bytes += each.plain_bytes
        whole.encoded_bytes += each.encoded_bytes
        whole.seconds += each.seconds


def remains(reading: Reading) -> Reading:
    """Return what stays of *reading* after its worker's end: the counters."""
    kept = total([reading])
    for name in HELD:
        setattr(kept, name, 0)
    kept.endpoints_up = {}
    for each in kept.tiers.values():
        for name in _SHARED_BY_WORKERS:
            setattr(each, name, 0)
    return kept


def _add(whole: TierStatistics, counted: TierStatistics) -> None:
    for name in TierStatistics.__struct_fields__:
        ours, theirs = getattr(whole, name), getattr(counted, name)
        # Each worker tells of the whole of a tier that they share.
        setattr(whole, name, max(ours, theirs) if name in _SHARED_BY_WORKERS else ours + theirs)


_SHARED_BY_WORKERS = frozenset({"bytes", "objects", "up"})

HELD = (
    "connections_open",
    "origin_connections_open",
    "exchanges_running",
    "store_bytes",
    "store_limit_bytes",
    "store_objects",
)
"""The fields of a reading that say what a worker holds now."""

_SUMMED_APART = frozenset(
    {
        "requests",
        "origin_latency",
        "origin_failures",
        "refused",
        "origin_retries",
        "endpoints_up",
        "encodings",
        "limited",
        "rendered",
        "tiers",
    }
)
_PLAIN = tuple(name for name in Reading.__struct_fields__ if name not in _SUMMED_APART)
