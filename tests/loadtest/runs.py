"""Runs as tests need them: made from samples, as k6 and k9 write them."""

import json
from collections.abc import Iterable

from loadtest.collect import Collection
from loadtest.definition import definition
from loadtest.record import Delivery, GatewayReading, Run, Times
from loadtest.summary import Verdict

BEGIN = "2026-11-01T12:00:{:02d}.5Z"


def sample(metric: str, value: float, second: int = 0, **tags: str) -> bytes:
    data = {"time": BEGIN.format(second), "value": value, "tags": tags}
    return json.dumps({"type": "Point", "metric": metric, "data": data}).encode()


def answer(
    took: float, second: int = 0, cache: str = "HIT", endpoint: str = "home", status: str = "200"
) -> bytes:
    return sample("answer_duration", took, second, cache=cache, endpoint=endpoint, status=status)


def collected(lines: Iterable[bytes]) -> Collection:
    collection = Collection(definition())
    for line in lines:
        collection.feed(line)
    return collection


def run(
    lines: Iterable[bytes],
    *,
    api_p95: float = 20.0,
    broken: tuple[str, ...] = (),
    gateway: GatewayReading | None = None,
    delivery: Delivery | None = None,
    peak: int = 400,
) -> Run:
    collection = collected(lines)
    total = collection.total
    return Run(
        test="dashboard",
        profile="laptop",
        scale=1.0,
        engine="k9 0.1.0",
        base="http://127.0.0.1:8080",
        started="2026-11-01T12:00:00+00:00",
        seconds=collection.seconds,
        machine="a machine",
        load=0.0,
        peak=peak,
        unit="users",
        total=Times.of(total.times),
        failed=total.errors,
        hit_rate=total.served / total.asked if total.asked else None,
        stale_rate=0.0,
        origin_requests=total.origin,
        dropped=collection.dropped,
        thresholds=(
            Verdict("http_req_duration", "p(95)<500", "p(95)<500" not in broken),
            Verdict("cache_hit_rate", "rate>0.7", "rate>0.7" not in broken),
        ),
        metrics={
            "api_duration": {"p(95)": api_p95, "p(99)": api_p95 * 1.5, "count": 100.0},
            "http_req_duration": {"p(95)": 30.0},
            "cache_hit_rate": {"rate": 0.8, "passes": 80.0, "fails": 20.0},
        },
        series=collection.series(),
        endpoints=collection.endpoints(),
        words=collection.words(),
        failures=collection.failures(),
        gateway=gateway,
        delivery=delivery,
    )


def gateway_reading(
    *, origin_p95_ms: float | None = 40.0, public_hit_rate: float | None = 0.95
) -> GatewayReading:
    return GatewayReading(
        requests=100,
        origin_requests=20,
        collapsed=3,
        refreshes=2,
        origin_p95_ms=origin_p95_ms,
        connections_open=0,
        store_bytes=1000,
        public_hit_rate=public_hit_rate,
        resident_bytes=50 * 2**20,
        cpu_seconds=1.0,
    )
