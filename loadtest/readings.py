"""What the gateway and the hub say about themselves: their `/metrics`, and their processes."""

import math
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

import psutil
from prometheus_client.parser import text_string_to_metric_families

from loadtest.record import GatewayReading, SlowestQuery

PUBLIC_ROUTES = frozenset({"static", "marketing", "docs"})
"""Routes of the shipped rules that a CDN keeps as well."""
_CACHED = frozenset({"HIT", "STALE", "UPDATING"})
_TIMEOUT = 10.0
_OFTEN = 20
"""A query that ran less often has no percentile worth the name."""

Labels = tuple[tuple[str, str], ...]


class Unreadable(Exception):
    """Nobody answers at an address, or not with metrics."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All samples of a page of metrics at one instant."""

    samples: Mapping[tuple[str, Labels], float]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples called *name* with *labels*."""
        return sum(
            value
            for (found, present), value in self.samples.items()
            if found == name and labels.items() <= dict(present).items()
        )

    def since(self, earlier: "Reading") -> "Reading":
        """Return how much every sample has grown; right for counters only."""
        return Reading(
            {key: value - earlier.samples.get(key, 0.0) for key, value in self.samples.items()}
        )

    def quantile(self, name: str, share: float) -> float | None:
        """Return the upper bound of the bucket of histogram *name* that *share* of values reach.

        None when there were no values. Linear inside the bucket, as Prometheus does it.
        """
        buckets: dict[float, float] = {}
        for (found, labels), value in self.samples.items():
            if found == f"{name}_bucket":
                bound = float(dict(labels)["le"])
                buckets[bound] = buckets.get(bound, 0.0) + value
        bounds = sorted(buckets)
        if not bounds or not buckets[bounds[-1]]:
            return None
        wanted = buckets[bounds[-1]] * share
        below, count_below = 0.0, 0.0
        for bound in bounds:
            if buckets[bound] >= wanted:
                if math.isinf(bound):
                    return below
                inside = buckets[bound] - count_below
                return below + (bound - below) * ((wanted - count_below) / inside if inside else 1)
            below, count_below = bound, buckets[bound]
        return below


def read(url: str) -> Reading:
    """Return the metrics at *url*, such as http://127.0.0.1:8081/metrics, or raise Unreadable."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            text = answer.read().decode()
        return Reading(
            {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise Unreadable(f"{url}: {error}") from error


def gateway(before: Reading, after: Reading, process: psutil.Process | None) -> GatewayReading:
    """Return what happened between two readings; *process* is its supervisor, when it is ours."""
    grown = after.since(before)
    public = [
        (dict(labels).get("cache", ""), value)
        for (name, labels), value in grown.samples.items()
        if name == "gateway_requests_total" and dict(labels).get("route") in PUBLIC_ROUTES
    ]
    asked = sum(value for _, value in public)
    p95 = grown.quantile("gateway_origin_response_seconds", 0.95)
    return GatewayReading(
        requests=grown.total("gateway_requests_total"),
        origin_requests=grown.total("gateway_origin_response_seconds_count"),
        collapsed=grown.total("gateway_collapsed_requests_total"),
        refreshes=grown.total("gateway_refreshes_total"),
        origin_p95_ms=None if p95 is None else p95 * 1000,
        connections_open=after.total("gateway_connections_open"),
        store_bytes=after.total("gateway_store_bytes"),
        public_hit_rate=(
            sum(value for word, value in public if word in _CACHED) / asked if asked else None
        ),
        resident_bytes=resident_bytes(process) if process else None,
        cpu_seconds=cpu_seconds(process) if process else None,
    )


def slowest_query(before: Reading, after: Reading) -> SlowestQuery | None:
    """Return the query of the hub with the highest P95; None when none ran often.

    The hub tells percentiles for each query. All queries together can't be slower than this.
    """
    ran = {
        dict(labels).get("query", ""): round(value)
        for (name, labels), value in after.since(before).samples.items()
        if name == "hub_db_query_seconds_count" and value >= _OFTEN
    }
    return max(
        (
            SlowestQuery(query, value * 1000, ran[query])
            for (name, labels), value in after.samples.items()
            if name == "hub_db_query_quantile_seconds"
            and dict(labels).get("quantile") == "0.95"
            and (query := dict(labels).get("query", "")) in ran
        ),
        key=lambda each: each.p95_ms,
        default=None,
    )


def family(process: psutil.Process) -> list[psutil.Process]:
    """Return *process* and everything it has started."""
    return [process, *process.children(recursive=True)]


def resident_bytes(process: psutil.Process) -> int:
    """Return the memory of *process* and its children; pages they share count for each."""
    return sum(each.memory_info().rss for each in family(process))


def cpu_seconds(process: psutil.Process) -> float:
    """Return the processor time of *process* and its children since they began."""
    total = 0.0
    for each in family(process):
        times = each.cpu_times()
        total += times.user + times.system
    return total
