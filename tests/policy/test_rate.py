"""A token bucket lets through what its rule says, and tells clients the truth about it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import rate
from gateway.policy.rate import RateLimit


def a_limit(requests: int = 10, per: float = 10.0, burst: int | None = None) -> RateLimit:
    return RateLimit("api", requests, per, requests if burst is None else burst)


def admitted(limit: RateLimit, moments: list[float]) -> list[bool]:
    full_at, found = 0.0, []
    for now in moments:
        after = rate.spend(full_at, now, limit)
        found.append(after is not None)
        full_at = full_at if after is None else after
    return found


def test_a_whole_burst_passes_at_once_and_not_one_more() -> None:
    assert admitted(a_limit(10, burst=3), [100.0] * 5) == [True, True, True, False, False]


def test_one_request_comes_back_for_each_interval() -> None:
    limit = a_limit(requests=2, per=1.0)

    assert admitted(limit, [5.0, 5.0, 5.0, 5.49, 5.5, 5.5, 6.0]) == [
        True, True, False, False, True, False, True,
    ]  # fmt: skip


@given(
    requests=st.integers(1, 1000),
    per=st.floats(0.01, 86_400),
    burst=st.integers(1, 1000),
    pauses=st.lists(st.floats(0, 100), min_size=1, max_size=60),
)
def test_no_stretch_of_time_lets_more_through_than_the_burst_and_what_came_back(
    requests: int, per: float, burst: int, pauses: list[float]
) -> None:
    limit = RateLimit("api", requests, per, burst)
    moments, now = [], 1000.0
    for pause in pauses:
        now += pause
        moments.append(now)

    passed = [at for at, ok in zip(moments, admitted(limit, moments), strict=True) if ok]

    for first, begin in enumerate(passed):
        for last, end in enumerate(passed[first:], 1):
            assert last <= burst + (end - begin) / limit.interval + 1e-3, (begin, end)


@given(spent=st.integers(0, 20), burst=st.integers(1, 20), later=st.floats(0, 30))
def test_what_is_said_to_remain_is_what_may_still_be_asked(
    spent: int, burst: int, later: float
) -> None:
    limit = a_limit(requests=1, per=1.0, burst=burst)
    full_at = 0.0
    for _ in range(spent):
        full_at = rate.spend(full_at, 50.0, limit) or full_at
    now = 50.0 + later

    left = rate.remaining(full_at, now, limit)

    assert sum(admitted_from(full_at, now, limit, burst + 1)) == left


def admitted_from(full_at: float, now: float, limit: RateLimit, times: int) -> list[bool]:
    found = []
    for _ in range(times):
        after = rate.spend(full_at, now, limit)
        found.append(after is not None)
        full_at = full_at if after is None else after
    return found


@given(burst=st.integers(1, 50), requests=st.integers(1, 50), per=st.floats(0.1, 3600))
def test_whoever_waits_as_long_as_told_is_let_in(burst: int, requests: int, per: float) -> None:
    limit = RateLimit("api", requests, per, burst)
    full_at = 0.0
    while (after := rate.spend(full_at, 9.0, limit)) is not None:
        full_at = after

    seconds = rate.wait(full_at, 9.0, limit)

    assert seconds > 0
    assert rate.spend(full_at, 9.0 + seconds, limit) is not None


def test_clients_are_told_what_is_allowed_what_is_left_and_when_all_of_it_is_back() -> None:
    limit = RateLimit("api", 100, 60.0, 20)
    other = RateLimit('a "name"', 5, 1.0, 5)

    told = rate.told([(limit, 1003.0), (other, 0.0)], 1000.0)

    assert told == (
        b'RateLimit-Policy: "api";q=20;w=12, "a \\"name\\"";q=5;w=1\r\n'
        b'RateLimit: "api";r=15;t=3, "a \\"name\\"";r=5;t=0\r\n'
    )


@pytest.mark.parametrize(
    ("seconds", "value"), [(0.0, b"1"), (0.2, b"1"), (1.0, b"1"), (1.5, b"2"), (60.0, b"60")]
)
def test_nobody_is_told_to_come_again_too_early(seconds: float, value: bytes) -> None:
    assert rate.retry_after(seconds)[2] == value
