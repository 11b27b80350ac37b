"""SIEVE's order: the paper's example, the hand's edges, and a plain list as the model."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.storage.eviction import Sieve
from gateway.storage.interface import Shelf


def shelf(name: str, *, visited: bool = False) -> Shelf:
    made = Shelf(name.encode(), (), 1)
    made.visited = visited
    return made


def filled(*shelves: Shelf) -> Sieve:
    order = Sieve()
    for each in shelves:
        order.add(each)
    return order


def test_the_oldest_goes_first_when_nothing_was_visited() -> None:
    order = filled(*map(shelf, "abc"))

    assert [order.evict().key for _ in range(3)] == [b"a", b"b", b"c"]


def test_an_empty_order_has_nothing_to_evict() -> None:
    with pytest.raises(LookupError, match="nothing to evict"):
        Sieve().evict()


def test_a_visited_shelf_loses_its_mark_and_stays() -> None:
    used = shelf("a", visited=True)
    order = filled(used, shelf("b"))

    assert order.evict().key == b"b"
    assert not used.visited


def test_when_all_were_visited_the_oldest_goes() -> None:
    order = filled(*(shelf(name, visited=True) for name in "abc"))

    assert order.evict().key == b"a"


def test_the_hand_goes_on_where_it_stood() -> None:
    a, b, c, d = (shelf(name) for name in "abcd")
    order = filled(a, b, c, d)
    a.visited = b.visited = True
    assert order.evict() is c

    order.add(shelf("e"))

    assert order.evict() is d
    assert order.evict().key == b"e"
    assert order.evict() is a


def test_discarding_the_shelf_under_the_hand_moves_the_hand_on() -> None:
    a, b, c, d = (shelf(name) for name in "abcd")
    order = filled(a, b, c, d)
    a.visited = True
    assert order.evict() is b

    order.discard(c)

    assert order.evict() is d


def test_an_evicted_shelf_is_freed_without_the_garbage_collector() -> None:
    class Body:
        pass

    class Watched(Shelf):
        __slots__ = ("__weakref__", "body")
        body: Body

    watched = Watched(b"a", (), 1)
    watched.body = Body()
    body = weakref.ref(watched.body)
    order = filled(watched, shelf("b"))
    del watched
    gc.disable()
    try:
        order.evict()
        assert body() is None
    finally:
        gc.enable()


class SieveInALine:
    """SIEVE as the paper draws it: a list, oldest first, and an index."""

    def __init__(self) -> None:
        self.line: list[Shelf] = []
        self.hand = 0

    def add(self, new: Shelf) -> None:
        # The hand that fell off the newest end begins again at the oldest.
        if self.hand == len(self.line):
            self.hand = 0
        self.line.append(new)

    def discard(self, gone: Shelf) -> None:
        place = self.line.index(gone)
        del self.line[place]
        if place < self.hand:
            self.hand -= 1

    def victim(self) -> Shelf:
        marks = {id(each): each.visited for each in self.line}
        while True:
            if self.hand >= len(self.line):
                self.hand = 0
            each = self.line[self.hand]
            if not marks[id(each)]:
                return each
            marks[id(each)] = False
            self.hand += 1


STEPS = st.lists(st.tuples(st.sampled_from("avde"), st.integers(0, 30)), max_size=120)


@given(STEPS)
def test_it_evicts_what_the_paper_says(steps: list[tuple[str, int]]) -> None:
    order, model = Sieve(), SieveInALine()
    for number, (step, which) in enumerate(steps):
        if step == "a":
            new = shelf(str(number))
            order.add(new)
            model.add(new)
        elif not model.line:
            continue
        elif step == "v":
            model.line[which % len(model.line)].visited = True
        elif step == "d":
            gone = model.line[which % len(model.line)]
            order.discard(gone)
            model.discard(gone)
        else:
            expected = model.victim()
            assert order.evict() is expected
            model.discard(expected)
