from hypothesis import given
from hypothesis import strategies as st

from gateway.resilience.backoff import Backoff


def test_one_failure_is_followed_at_once_and_more_by_growing_pauses() -> None:
    exact = Backoff(first=0.1, factor=2.0, longest=1.0, spread=0.0)

    pauses = [exact.pause(failures, chance=0.5) for failures in range(8)]

    assert pauses == [0.0, 0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_chance_takes_away_up_to_the_spread() -> None:
    backoff = Backoff(first=1.0, spread=0.25)

    assert backoff.pause(2, chance=0.0) == 1.0
    assert backoff.pause(2, chance=1.0) == 0.75


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_no_pause_is_longer_than_the_longest(failures: int, chance: float) -> None:
    assert 0.0 <= Backoff(longest=5.0).pause(failures, chance) <= 5.0
