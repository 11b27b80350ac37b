"""What becomes of samples, and how exact it is."""

import random

import pytest

from loadtest.distribution import Distribution
from tests.loadtest.runs import answer, collected, sample


def test_percentiles_are_exact_to_one_percent() -> None:
    chance = random.Random(7)
    values = sorted(chance.lognormvariate(2, 1.5) for _ in range(20_000))
    distribution = Distribution()
    for value in values:
        distribution.add(value)

    for percent in (1, 50, 90, 95, 99, 99.9):
        exact = values[int(len(values) * percent / 100) - 1]
        assert distribution.percentile(percent) == pytest.approx(exact, rel=0.011)
    assert distribution.percentile(100) == pytest.approx(values[-1], rel=0.011)
    assert distribution.largest == values[-1]


def test_two_distributions_together_are_as_if_they_had_been_one() -> None:
    one, other, both = Distribution(), Distribution(), Distribution()
    for value in range(1, 1000):
        (one if value % 3 else other).add(value)
        both.add(value)

    one.merge(other)

    assert one.count == both.count
    assert one.percentile(95) == both.percentile(95)
    assert one.mean == both.mean


def test_nothing_measured_is_zero_and_no_error() -> None:
    assert Distribution().percentile(99) == 0
    assert Distribution().mean == 0


def test_hits_are_counted_among_those_that_asked_the_cache() -> None:
    words = ["HIT", "STALE", "UPDATING", "MISS", "EXPIRED", "REVALIDATED", "BYPASS", "PASS", "none"]
    collection = collected(answer(1, cache=word) for word in words)

    assert collection.total.served == 3
    assert collection.total.asked == 6
    assert collection.total.origin == 6
    assert collection.stale == 2


def test_a_second_without_answers_is_in_the_series() -> None:
    series = collected([answer(5, second=3), answer(9, second=3), answer(7, second=6)]).series()

    assert [(second.at, second.times.count) for second in series] == [
        (0, 2),
        (1, 0),
        (2, 0),
        (3, 1),
    ]
    assert series[0].times.max == 9


def test_endpoints_and_words_come_with_their_own_times() -> None:
    collection = collected(
        [
            *(answer(1, endpoint="home") for _ in range(3)),
            *(answer(100, endpoint="dashboard", cache="BYPASS") for _ in range(2)),
        ]
    )

    home, dashboard = collection.endpoints()
    assert (home.name, home.times.count, home.hit_rate) == ("home", 3, 1.0)
    assert dashboard.name == "dashboard"
    assert dashboard.times.p50 == pytest.approx(100, rel=0.01)
    assert dashboard.hit_rate is None
    assert [word.name for word in collection.words()] == ["HIT", "BYPASS"]


def test_failures_say_what_and_where() -> None:
    collection = collected(
        [
            sample("http_reqs", 1, endpoint="home", status="503"),
            sample("http_reqs", 1, endpoint="home", status="503"),
            sample("http_reqs", 1, endpoint="blog", status="0", error="could not connect"),
            sample("http_reqs", 1, endpoint="docs", status="200"),
            sample("error_rate", 1, endpoint="home"),
            sample("error_rate", 0, endpoint="home"),
            sample("dropped_iterations", 4),
        ]
    )

    found = [(each.endpoint, each.what, each.count) for each in collection.failures()]
    assert found == [("home", "status 503", 2), ("blog", "could not connect", 1)]
    assert collection.total.errors == 1
    assert collection.dropped == 4


def test_what_the_display_takes_is_counted_once_more_in_the_whole() -> None:
    collection = collected([answer(1), answer(2)])

    first, second = collection.take_recent(), collection.take_recent()

    assert (first.times.count, second.times.count) == (2, 0)
    assert collection.total.times.count == 2


def test_a_line_that_declares_a_metric_counts_nothing() -> None:
    line = (
        b'{"type":"Metric","metric":"answer_duration",'
        b'"data":{"name":"answer_duration","type":"trend"}}'
    )

    assert collected([line]).total.times.count == 0
