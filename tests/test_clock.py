"""One timer for many deadlines, and the stamp on what was prepared."""

import asyncio
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import MOST_GRANTED, RESOLUTION, Stamp, Standstill, TimeLimit, Watch


class Guest:
    """Something with a deadline that notes when it was told."""

    def __init__(self) -> None:
        self.deadline = math.inf
        self.watched_in = 0
        self.told: list[float] = []

    def expire(self, now: float) -> None:
        self.told.append(now)


def sweep_until(watch: Watch, start: float, end: float) -> None:
    for tick in range(round(start / RESOLUTION), round(end / RESOLUTION) + 1):
        watch.sweep(tick * RESOLUTION)


def test_a_deadline_is_told_once_and_not_before_it_passed() -> None:
    watch, guest = Watch(100.0), Guest()
    watch.set(guest, 101.05)
    watch.sweep(101.0)
    assert guest.told == []

    watch.sweep(101.2)
    watch.sweep(200.0)

    assert guest.told == [101.2]
    assert guest.watched_in == 0


@pytest.mark.parametrize("seconds", [0.0, 0.05, 1.0, 4.95, 5.0, 5.05, 60.0])
def test_a_deadline_near_or_far_is_told_at_most_two_looks_late(seconds: float) -> None:
    watch, guest = Watch(100.0), Guest()
    watch.set(guest, 100.0 + seconds)

    sweep_until(watch, 100.0, 170.0)

    assert len(guest.told) == 1
    assert 0 <= guest.told[0] - (100.0 + seconds) <= 2 * RESOLUTION + 1e-6


def test_a_deadline_moved_away_by_assignment_is_told_at_its_new_time() -> None:
    watch, guest = Watch(100.0), Guest()
    watch.set(guest, 101.0)
    guest.deadline = 103.0

    sweep_until(watch, 100.0, 102.9)
    assert guest.told == []
    sweep_until(watch, 103.0, 103.3)
    assert len(guest.told) == 1


def test_a_deadline_set_nearer_is_told_at_its_new_time() -> None:
    watch, guest = Watch(100.0), Guest()
    watch.set(guest, 130.0)
    watch.set(guest, 101.0)

    sweep_until(watch, 100.0, 101.3)
    assert len(guest.told) == 1
    sweep_until(watch, 101.4, 140.0)
    assert len(guest.told) == 1


def test_infinity_is_never_told() -> None:
    watch, guest = Watch(100.0), Guest()
    watch.set(guest, math.inf)

    watch.sweep(100_000.0)

    assert guest.told == []


def test_what_is_discarded_is_never_told() -> None:
    watch, guest = Watch(100.0), Guest()
    watch.set(guest, 101.0)
    watch.discard(guest)
    watch.discard(guest)

    watch.sweep(200.0)

    assert guest.told == []


def test_a_sweep_after_a_long_stall_misses_nothing() -> None:
    watch = Watch(100.0)
    guests = [Guest() for _ in range(100)]
    for number, guest in enumerate(guests):
        watch.set(guest, 100.0 + number)

    watch.sweep(1000.0)

    assert all(guest.told == [1000.0] for guest in guests)


def test_an_expiry_may_set_a_later_deadline() -> None:
    watch = Watch(100.0)

    class Patient(Guest):
        def expire(self, now: float) -> None:
            super().expire(now)
            if len(self.told) < 3:
                watch.set(self, now + 1.0)

    guest = Patient()
    watch.set(guest, 101.0)
    sweep_until(watch, 100.0, 110.0)

    assert len(guest.told) == 3


def test_an_expiry_that_ends_another_in_the_same_sweep_is_the_last_word() -> None:
    watch = Watch(100.0)
    guests: list[Guest] = []

    class Selfish(Guest):
        def expire(self, now: float) -> None:
            super().expire(now)
            for other in guests:
                if other is not self:
                    watch.discard(other)

    guests += [Selfish() for _ in range(10)]
    for guest in guests:
        watch.set(guest, 101.0)
    watch.sweep(102.0)

    assert sum(len(guest.told) for guest in guests) == 1


def test_an_expiry_that_moves_another_on_is_obeyed() -> None:
    watch = Watch(100.0)
    guests: list[Guest] = []

    class Generous(Guest):
        def expire(self, now: float) -> None:
            super().expire(now)
            for other in guests:
                if other is not self:
                    watch.discard(other)
                    watch.set(other, 110.0)

    guests += [Generous() for _ in range(3)]
    for guest in guests:
        watch.set(guest, 101.0)
    watch.sweep(102.0)
    assert sum(len(guest.told) for guest in guests) == 1
    guests_left = [guest for guest in guests if not guest.told]
    for guest in guests_left:
        watch.discard(guest)
    watch.sweep(200.0)

    assert sum(len(guest.told) for guest in guests) == 1


@given(st.integers(0, 2**32))
def test_whatever_is_asked_each_is_told_once_and_in_time(seed: int) -> None:
    chance = random.Random(seed)
    now = 50.0
    watch = Watch(now)
    guests = [Guest() for _ in range(5)]
    due: dict[Guest, float] = {}
    for _ in range(60):
        guest = chance.choice(guests)
        act = chance.choice(["set", "away", "discard", "sweep", "sweep"])
        if act == "set":
            due[guest] = now + chance.uniform(0, 12)
            watch.set(guest, due[guest])
        elif act == "away" and guest in due:
            due[guest] += chance.uniform(0, 3)
            guest.deadline = due[guest]
        elif act == "discard":
            watch.discard(guest)
            due.pop(guest, None)
        elif act == "sweep":
            now += chance.uniform(0, 2)
            told = {each: len(each.told) for each in guests}
            watch.sweep(now)
            for each in guests:
                news = len(each.told) - told[each]
                if each in due and due[each] <= now - 2 * RESOLUTION:
                    assert news == 1
                elif each not in due or due[each] > now:
                    assert news == 0
                if news:
                    del due[each]
                    watch.discard(each)


def test_a_stamp_changes_with_every_change_and_keeps_the_instant() -> None:
    stamp = Stamp(100.0)
    seen = {stamp.value}
    for now in (101.0, 101.0, 99.0):
        stamp.change(now)
        seen.add(stamp.value)
        assert stamp.now == now

    assert len(seen) == 4


def looked(standstill: Standstill, *instants: float) -> list[bool]:
    return [standstill.excuses(each) for each in instants]


def test_who_looks_in_time_excuses_nobody() -> None:
    assert not any(looked(Standstill(100.0), *(100.0 + 0.11 * each for each in range(1, 100))))


def test_a_standstill_is_granted_once_and_as_long_as_it_was() -> None:
    standstill = Standstill(100.0)
    after = [102.1 + 0.1 * each for each in range(30)]

    said = looked(standstill, *after)

    assert said == sorted(said, reverse=True)
    assert sum(said) == pytest.approx(20, abs=1)


def test_after_a_long_sleep_no_more_than_the_most_is_granted() -> None:
    standstill = Standstill(100.0)
    after = [4000.0 + 0.1 * each for each in range(100)]

    assert sum(looked(standstill, *after)) == pytest.approx(MOST_GRANTED / 0.1, abs=1)


def test_who_stands_still_all_the_time_looks_at_deadlines_now_and_then() -> None:
    said = looked(Standstill(100.0), *(100.0 + 0.5 * each for each in range(1, 101)))

    assert 3 <= said.count(False) < 20


async def test_a_limit_that_the_watch_ends_ends_what_is_waited_for() -> None:
    watch = Watch(100.0)

    async def waits() -> None:
        async with asyncio.timeout(None) as timeout:
            watch.set(TimeLimit(timeout), 101.0)
            asyncio.get_running_loop().call_soon(watch.sweep, 101.2)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await waits()
