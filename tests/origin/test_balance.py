"""Which endpoint is chosen."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from gateway.origin import balance


@dataclass
class Endpoint:
    name: bytes
    weight: float = 1.0
    load: int = 0
    turn: float = 0.0


def draws(*values: float) -> Callable[[], float]:
    """Return chance that is told beforehand, over and over."""
    given = list(values)
    used = 0

    def draw() -> float:
        nonlocal used
        used += 1
        return given[(used - 1) % len(given)]

    return draw


def never() -> float:
    raise AssertionError("no chance is needed")


def test_round_robin_goes_by_weight_and_spreads_evenly() -> None:
    endpoints = [Endpoint(b"a", 3.0), Endpoint(b"b"), Endpoint(b"c")]
    chosen = [balance.round_robin(endpoints, b"", never) for _ in range(10)]

    assert Counter(chosen) == {0: 6, 1: 2, 2: 2}
    assert chosen[:5] == [0, 1, 0, 2, 0]


def test_least_requests_goes_by_load_for_each_weight() -> None:
    endpoints = [Endpoint(b"a", 1.0, 3), Endpoint(b"b", 4.0, 7), Endpoint(b"c", 1.0, 4)]

    assert balance.least_requests(endpoints, b"", never) == 1


def test_equals_are_taken_in_turn() -> None:
    endpoints = [Endpoint(b"a"), Endpoint(b"b"), Endpoint(b"c", load=5)]

    assert [balance.least_requests(endpoints, b"", never) for _ in range(4)] == [0, 1, 0, 1]


@pytest.mark.parametrize(("chance", "chosen"), [((0.0, 0.0), 0), ((0.4, 0.9), 0), ((0.5, 0.0), 2)])
def test_the_less_loaded_of_two_by_chance(chance: tuple[float, float], chosen: int) -> None:
    endpoints = [Endpoint(b"a", load=1), Endpoint(b"b", load=9), Endpoint(b"c", load=5)]

    assert balance.p2c(endpoints, b"", draws(*chance)) == chosen


def test_one_alone_is_chosen_whatever_the_way() -> None:
    for way in balance.WAYS.values():
        assert way([Endpoint(b"a")], b"x", draws(0.99)) == 0


def test_a_hash_stays_and_only_what_is_lost_moves() -> None:
    endpoints = [Endpoint(b"%d" % n) for n in range(5)]
    asked = [b"GET /%d" % n for n in range(2000)]
    before = {each: endpoints[balance.by_hash(endpoints, each, never)].name for each in asked}
    left = endpoints[:2] + endpoints[3:]
    after = {each: left[balance.by_hash(left, each, never)].name for each in asked}

    assert all(after[each] == name for each, name in before.items() if name != b"2")
    counts = Counter(before.values())
    assert min(counts.values()) > 300


def test_a_hash_goes_by_weight() -> None:
    endpoints = [Endpoint(b"a", 3.0), Endpoint(b"b", 1.0)]
    counts = Counter(balance.by_hash(endpoints, b"%d" % n, never) for n in range(4000))

    assert 2.6 < counts[0] / counts[1] < 3.4
