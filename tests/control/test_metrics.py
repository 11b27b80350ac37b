"""What /metrics tells, against what docs/metrics.md says it tells."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from gateway.control import totals
from gateway.control.metrics import BridgeFacts, Facts, ReplicaFacts, exposition
from gateway.counters import Counters, Reading, TierStatistics

DOCUMENTED = Path(__file__).parents[2] / "docs" / "metrics.md"


def a_reading() -> Reading:
    counters = Counters()
    counters.requests["lists", "HIT", 2] = 3
    counters.body_bytes["lists", "HIT", 2] = 3000
    counters.refused[400] = 1
    counters.limited["lists"] = 1
    counters.rendered["pictures"]["made"] = 1
    counters.origin_failures["hub"]["origin-hung-up"] = 2
    counters.origin_retries["hub"] = 1
    counters.endpoints_up = {"hub": {"127.0.0.1:3000": 1}}
    for seconds in (0.0004, 0.03, 0.03, 60.0):
        counters.origin_latency["hub"].observe(seconds)
    counters.encoded(("lists", "br", 4), 1000, 200, 0.25)
    counters.connections_open = 5
    counters.tiers = {"local": TierStatistics(hits=3, bytes=100, up=1)}
    return counters.reading()


def page(reading: Reading) -> str:
    facts = Facts(
        reading,
        2,
        1,
        1_700_000_000.0,
        replicas=ReplicaFacts(True, 0.002, 3, 4),
        database=BridgeFacts(True, 2, 0, 0.01),
    )
    text, media_type = exposition(facts, "")
    assert media_type.startswith("text/plain")
    return text.decode()


def test_the_documented_names_types_and_labels_are_those_that_are_told() -> None:
    told = set()
    for family in text_string_to_metric_families(page(a_reading())):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        told.add((name, family.type, frozenset(labels)))

    documented = {
        (row[1], row[2], frozenset(re.findall(r"`(\w+)`", row[3])))
        for row in re.finditer(
            r"^\| `(gateway_\w+)` \| (\w+) \|([^|]*)\|", DOCUMENTED.read_text(), re.MULTILINE
        )
    }
    assert told == documented


def test_the_buckets_of_a_histogram_are_cumulated() -> None:
    text = page(a_reading())

    buckets = dict(re.findall(r'response_seconds_bucket\{le="([^"]+)",origin="hub"} (\S+)', text))
    assert buckets["0.001"] == "1.0"
    assert buckets["0.025"] == "1.0"
    assert buckets["0.05"] == "3.0"
    assert buckets["10.0"] == "3.0"
    assert buckets["+Inf"] == "4.0"
    assert 'gateway_origin_response_seconds_sum{origin="hub"} 60.0604' in text


def test_the_sum_over_workers_adds_every_field() -> None:
    whole = page(totals.total([a_reading(), a_reading()]))

    assert 'gateway_requests_total{cache="HIT",route="lists",status_class="2xx"} 6.0' in whole
    assert 'gateway_refused_requests_total{status="400"} 2.0' in whole
    assert 'gateway_limited_requests_total{route="lists"} 2.0' in whole
    assert 'gateway_origin_failures_total{origin="hub",reason="origin-hung-up"} 4.0' in whole
    assert 'gateway_origin_response_seconds_count{origin="hub"} 8.0' in whole
    assert "gateway_connections_open 10.0" in whole


def test_of_a_dead_worker_the_counters_remain_and_the_gauges_do_not() -> None:
    reading = a_reading()
    remains = totals.remains(reading)

    assert remains.requests == reading.requests
    assert remains.origin_latency == reading.origin_latency
    assert remains.connections_open == 0
    assert reading.connections_open == 5


def test_adding_up_leaves_the_readings_as_they_are() -> None:
    reading = a_reading()
    totals.total([reading, reading])

    assert reading == a_reading()


def test_what_workers_encoded_adds_up_and_outlives_them() -> None:
    both = totals.total([totals.remains(a_reading()), a_reading()])

    labels = '{encoding="br",level="4",route="lists"}'
    assert f"gateway_encoding_input_bytes_total{labels} 2000.0" in page(both)
    assert f"gateway_encoding_output_bytes_total{labels} 400.0" in page(both)
    assert f"gateway_encoding_cpu_seconds_total{labels} 0.5" in page(both)
