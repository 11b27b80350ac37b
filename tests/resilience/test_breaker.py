"""A breaker opens after failures in a row, and closes when a trial succeeds."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.resilience.backoff import Backoff
from gateway.resilience.breaker import Breaker

_PAUSES = Backoff(first=1.0, factor=2.0, longest=8.0, spread=0.0)


def test_it_opens_after_so_many_failures_in_a_row_and_says_so_once() -> None:
    breaker = Breaker(3, _PAUSES)

    assert [breaker.failed(0.0, 0.0) for _ in range(3)] == [False, False, True]
    assert not breaker.closed
    assert not breaker.failed(1.0, 0.0)


def test_a_success_in_between_begins_the_count_anew() -> None:
    breaker = Breaker(2, _PAUSES)

    for _ in range(5):
        breaker.failed(0.0, 0.0)
        breaker.succeeded()

    assert breaker.closed


def test_trials_come_after_pauses_that_grow_to_a_bound() -> None:
    breaker = Breaker(1, _PAUSES)
    now, waited = 100.0, []
    for _ in range(6):
        breaker.failed(now, 0.0)
        assert not breaker.due(now)
        waited.append(breaker.until - now)
        now = breaker.until
        assert breaker.due(now)

    assert waited == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_trial_that_succeeds_closes_it_and_the_next_pause_is_short_again() -> None:
    breaker = Breaker(1, _PAUSES)
    for _ in range(4):
        breaker.failed(0.0, 0.0)

    assert breaker.succeeded()
    assert breaker.closed
    assert not breaker.due(1e9)
    breaker.failed(50.0, 0.0)
    assert breaker.until == 51.0


@given(st.lists(st.booleans()), st.integers(1, 5))
def test_it_is_open_just_while_the_last_of_so_many_outcomes_were_failures(
    outcomes: list[bool], after: int
) -> None:
    breaker = Breaker(after, _PAUSES)
    failures = 0
    for well in outcomes:
        if well:
            breaker.succeeded()
            failures = 0
        else:
            breaker.failed(0.0, 0.5)
            failures += 1

    assert breaker.closed == (failures < after)
