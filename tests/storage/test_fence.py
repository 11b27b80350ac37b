"""Nobody relies on anything while a purge may be missing."""

import os
from collections.abc import Iterator

import pytest

from gateway.storage.fence import ALWAYS, Fence, FencedStamp, new_fence


@pytest.fixture
def descriptor() -> Iterator[int]:
    descriptor = new_fence()
    yield descriptor
    os.close(descriptor)


def test_a_purge_that_begins_elsewhere_stops_a_process_until_it_has_applied_it(
    descriptor: int,
) -> None:
    one, other = Fence(descriptor, 0, [0, 0]), Fence(descriptor, 1, [0, 0])
    assert one.current()
    assert other.current()

    one.begin()

    assert one.current()
    assert not other.current()
    other.applied(0)
    assert other.current()


def test_who_began_to_wait_needs_only_the_purges_that_there_were(descriptor: int) -> None:
    one, other = Fence(descriptor, 0, [0, 0]), Fence(descriptor, 1, [0, 0])
    one.begin()
    counted = other.counted()
    assert counted is not None
    one.begin()
    assert not other.reached(counted)

    other.applied(0)

    assert other.reached(counted)
    assert not other.current()


def test_purges_of_several_processes_at_once_each_count_for_all(descriptor: int) -> None:
    fences = [Fence(descriptor, place, [0, 0, 0]) for place in range(3)]
    for fence in fences:
        fence.begin()
    assert not any(fence.current() for fence in fences)

    for place, fence in enumerate(fences):
        for other in range(3):
            if other != place:
                fence.applied(other)

    assert all(fence.current() for fence in fences)


def test_who_begins_later_knows_what_it_was_told(descriptor: int) -> None:
    supervisor = Fence(descriptor, 0, [0, 0])
    supervisor.begin()

    assert Fence(descriptor, 1, supervisor.counts).current()
    assert not Fence(descriptor, 1, [0, 0]).current()


def test_what_the_dead_counted_and_told_nobody_stops_nobody_for_ever(descriptor: int) -> None:
    supervisor, worker = Fence(descriptor, 0, [0, 0]), Fence(descriptor, 1, [0, 0])
    worker.begin()
    assert not supervisor.current()

    supervisor.bury(1)

    assert supervisor.current()


def test_past_the_last_word_of_other_replicas_nothing_is_relied_on(descriptor: int) -> None:
    now = [100.0]
    fence = Fence(descriptor, 0, [0], lambda: now[0])
    assert fence.until == ALWAYS
    fence.until = 100.5
    assert fence.current()
    now[0] = 100.6
    assert not fence.current()
    Fence(descriptor, 0, [0]).until = 101.0
    assert fence.current()


def test_while_purges_of_others_may_be_missing_nothing_counts_as_all_there_were(
    descriptor: int,
) -> None:
    now = [100.0]
    fence = Fence(descriptor, 0, [0], lambda: now[0])
    fence.until = 99.0
    assert fence.counted() is None
    fence.until = 100.5
    assert fence.counted() is not None


def test_a_stamp_behind_the_fence_equals_nothing_not_even_itself(descriptor: int) -> None:
    other, fence = Fence(descriptor, 0, [0, 0]), Fence(descriptor, 1, [0, 0])
    stamp = FencedStamp(1.8e9, fence)
    prepared_under = stamp.value
    assert stamp.value == prepared_under

    other.begin()
    assert stamp.value != prepared_under
    assert stamp.value != stamp.value
    fence.applied(0)
    assert stamp.value == prepared_under
    stamp.change(1.8e9 + 1)
    assert stamp.value != prepared_under
