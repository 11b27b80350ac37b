"""When an endpoint is left alone, and how it comes back."""

from gateway.resilience.backoff import Backoff
from gateway.resilience.budget import RetryBudget
from gateway.resilience.health import EndpointHealth, Judgement


def judged(**judgement: float) -> EndpointHealth:
    pause = Backoff(first=10.0, longest=300.0)
    return EndpointHealth(Judgement(eject_after=3, pause=pause, **judgement))  # type: ignore[arg-type]


def fail(health: EndpointHealth, times: int, now: float) -> list[bool]:
    return [health.failed(now, 0.0) for _ in range(times)]


def test_failures_in_a_row_eject_and_a_success_ends_the_row() -> None:
    health = judged()
    fail(health, 2, 0.0)
    health.succeeded(0.0)

    assert fail(health, 3, 0.0) == [False, False, True]
    assert not health.admits(9.0)
    assert health.admits(10.0)


def test_after_an_ejection_one_trial_keeps_the_others_away() -> None:
    health = judged()
    fail(health, 3, 0.0)

    assert health.admits(10.0)
    health.chosen(10.0)
    assert not health.admits(10.1)
    health.succeeded(10.2)
    assert health.admits(10.2)


def test_a_trial_that_nobody_waits_for_any_more_is_followed_by_another() -> None:
    health = judged()
    fail(health, 3, 0.0)
    health.chosen(10.0)

    assert health.admits(15.0)


def test_who_fails_the_trial_is_left_alone_for_longer() -> None:
    health = judged()
    fail(health, 3, 0.0)
    health.chosen(10.0)
    assert health.failed(10.0, 0.0)

    assert not health.admits(29.0)
    assert health.admits(30.0)


def test_checks_in_a_row_decide() -> None:
    health = judged()
    told = [health.checked(0.0, well=well) for well in (False, False, True, False, False, False)]
    assert told == [False, False, False, False, False, True]
    assert not health.admits(0.0)

    assert [health.checked(1.0, well=True) for _ in range(2)] == [False, True]
    assert health.admits(1.0)


def test_what_is_back_gets_its_share_slowly() -> None:
    health = judged(slow_start=10.0)
    fail(health, 3, 0.0)
    health.succeeded(20.0)

    assert [health.share(at) for at in (20.0, 25.0, 30.0)] == [0.1, 0.5, 1.0]


def test_retries_are_a_share_of_the_requests() -> None:
    budget = RetryBudget(0.2, spare=0)
    for _ in range(50):
        budget.requested(1.0)

    assert sum(budget.spend(1.0) for _ in range(50)) == 10
    assert not budget.spend(1.0)


def test_what_was_spent_is_forgotten_after_two_windows() -> None:
    budget = RetryBudget(0.0, spare=2)
    assert [budget.spend(0.0) for _ in range(3)] == [True, True, False]
    assert budget.spend(25.0)
