"""The hub's figures as Prometheus reads them; `docs/database.md` explains each."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from upstream.monitoring.monitor import Monitor
from upstream.pool import Pool

_QUANTILES = (0.5, 0.95, 0.99)
_MOST_QUERIES = 200
"""Kinds of queries with labels of their own: those that take the most time."""


def exposition(pool: Pool, monitor: Monitor, accept: str) -> tuple[bytes, str]:
    """Return the page and its media type, in the form that *accept* prefers."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(pool, monitor))
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


class _Page(Collector):
    def __init__(self, pool: Pool, monitor: Monitor) -> None:
        self._pool = pool
        self._monitor = monitor

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, the pool's first."""
        yield from _pool(self._pool)
        yield from _queries(self._monitor)


def _pool(pool: Pool) -> Iterator[Metric]:
    figures = pool.figures()
    for name, text, value in (
        ("max_connections", "Connections that may be open", figures.max_connections),
        ("min_connections", "Connections that are kept open", figures.min_connections),
        ("connections", "Open connections", figures.total),
        ("idle_connections", "Open connections that nobody uses", figures.idle),
        ("used_connections", "Connections in use", figures.in_use),
        ("waiting_requests", "Requests that wait for a connection", figures.waiting),
        ("utilisation_ratio", "Connections in use, of those that may be open", figures.utilisation),
    ):
        yield GaugeMetricFamily(f"hub_db_pool_{name}", text, value=value)
    yield CounterMetricFamily(
        "hub_db_pool_acquires", "Times that a connection was lent", value=figures.acquires
    )
    errors = CounterMetricFamily(
        "hub_db_pool_errors", "Requests that got no connection or lost theirs", labels=["reason"]
    )
    for reason, count in sorted(figures.errors.items()):
        errors.add_metric([reason], count)
    yield errors
    acquire = GaugeMetricFamily(
        "hub_db_pool_acquire_quantile_seconds",
        "How long requests waited for a connection",
        labels=["quantile"],
    )
    for quantile in _QUANTILES:
        acquire.add_metric([str(quantile)], pool.acquire_times.percentile(quantile))
    yield acquire
    yield SummaryMetricFamily(
        "hub_db_pool_acquire_seconds",
        "How long requests waited for a connection",
        count_value=pool.acquire_times.count,
        sum_value=pool.acquire_times.total,
    )


def _queries(monitor: Monitor) -> Iterator[Metric]:
    labels = ["query", "type"]
    seconds = SummaryMetricFamily("hub_db_query_seconds", "How long queries took", labels=labels)
    quantiles = GaugeMetricFamily(
        "hub_db_query_quantile_seconds",
        "Percentiles of how long queries took, since the start",
        labels=[*labels, "quantile"],
    )
    errors = CounterMetricFamily("hub_db_query_errors", "Queries that failed", labels=labels)
    slow = CounterMetricFamily(
        "hub_db_query_slow", "Queries slower than a threshold", labels=[*labels, "level"]
    )
    for each in monitor.kinds()[:_MOST_QUERIES]:
        named = [each.name or each.statement.fingerprint or "other", each.statement.kind]
        seconds.add_metric(named, each.durations.count, each.durations.total)
        errors.add_metric(named, each.errors)
        slow.add_metric([*named, "warning"], each.warnings)
        slow.add_metric([*named, "error"], each.slow)
        for quantile in _QUANTILES:
            quantiles.add_metric([*named, str(quantile)], each.durations.percentile(quantile))
    yield from (seconds, quantiles, errors, slow)
