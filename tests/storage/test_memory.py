"""The memory tier against a dict, its limits, and whether its bytes are real bytes."""

import gc
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.storage.interface import Shelf
from gateway.storage.memory import SHELF_BYTES, MemoryStore
from tests.storage.responses import response

MIB = 1 << 20
ONE = SHELF_BYTES + 1 + response(b"." * 1000).weight
"""What a response of 1000 bytes costs under a key of one byte."""


def store_for(objects: int) -> MemoryStore:
    """Return a store with room for so many responses of 1000 bytes."""
    return MemoryStore(objects * ONE, MIB)


def keep(store: MemoryStore, *keys: bytes) -> None:
    for key in keys:
        assert store.keep(key, [response(b"." * 1000)])


def keys_in(store: MemoryStore) -> set[bytes]:
    return {shelf.key for shelf in store}


def test_what_was_kept_lies_under_its_key() -> None:
    store = store_for(2)
    newer, older = response(b"new"), response(b"old")

    assert store.keep(b"a", [newer, older])

    shelf = store.peek(b"a")
    assert shelf is not None
    assert shelf.variants == (newer, older)
    assert shelf.live
    assert not shelf.visited
    assert store.peek(b"b") is None


def test_a_replaced_shelf_is_dead_and_the_new_one_counts_as_used() -> None:
    store = store_for(4)
    keep(store, b"a")
    before = store.peek(b"a")

    keep(store, b"a")

    after = store.peek(b"a")
    assert before is not None
    assert after is not None
    assert not before.live
    assert after.live
    assert after.visited
    assert (store.objects, store.bytes, store.evictions) == (1, ONE, 0)


def test_a_removed_shelf_is_dead_and_its_bytes_are_free() -> None:
    store = store_for(4)
    keep(store, b"a", b"b")
    shelf = store.peek(b"a")

    assert store.remove(b"a")
    assert not store.remove(b"a")

    assert shelf is not None
    assert not shelf.live
    assert (store.objects, store.bytes, store.evictions) == (1, ONE, 0)


def test_what_does_not_fit_makes_the_oldest_go() -> None:
    store = store_for(3)

    keep(store, b"a", b"b", b"c", b"d")

    assert keys_in(store) == {b"b", b"c", b"d"}
    assert store.evictions == 1


def test_an_evicted_shelf_is_dead() -> None:
    store = store_for(1)
    keep(store, b"a")
    shelf = store.peek(b"a")

    keep(store, b"b")

    assert shelf is not None
    assert not shelf.live


def test_visited_shelves_survive_a_scan() -> None:
    store = store_for(10)
    used = [b"%d" % number for number in range(5)]
    keep(store, *used)
    for scanned in range(200):
        for key in used:
            shelf = store.peek(key)
            assert shelf is not None
            shelf.visited = True
        store.keep(b"scan %d" % scanned, [response(b"." * 900)])

    assert keys_in(store) >= set(used)


def test_what_is_larger_than_the_limit_for_one_object_is_passed_and_clears_its_key() -> None:
    store = MemoryStore(MIB, max_object_bytes=10_000)
    assert store.keep(b"a", [response(b"small")])
    before = store.peek(b"a")

    assert not store.keep(b"a", [response(b"." * 10_000)])

    assert before is not None
    assert not before.live
    assert store.peek(b"a") is None
    assert (store.objects, store.bytes, store.rejected) == (0, 0, 1)


def test_an_object_may_not_be_larger_than_the_whole_store() -> None:
    store = MemoryStore(10_000, max_object_bytes=MIB)
    keep(store, b"a")

    assert not store.keep(b"b", [response(b"." * 10_000)])

    assert keys_in(store) == {b"a"}


def test_variants_that_do_not_fit_beside_the_newest_are_left_out_oldest_first() -> None:
    store = MemoryStore(MIB, max_object_bytes=20_000)
    variants = [response(b"." * 6000, etag=b'"%d"' % age) for age in range(4)]

    assert store.keep(b"a", variants)

    shelf = store.peek(b"a")
    assert shelf is not None
    assert shelf.variants == tuple(variants[:2])
    assert shelf.bytes <= 20_000


def test_keeping_no_variants_clears_the_key_and_rejects_nothing() -> None:
    store = store_for(2)
    keep(store, b"a")

    assert not store.keep(b"a", [])

    assert (store.objects, store.bytes, store.rejected) == (0, 0, 0)


def test_clearing_leaves_every_shelf_dead_and_counts_no_eviction() -> None:
    store = store_for(5)
    keep(store, b"a", b"b", b"c")
    shelves = list(store)
    shelves[1].visited = True

    store.clear()

    assert not any(shelf.live for shelf in shelves)
    assert (store.objects, store.bytes, store.evictions) == (0, 0, 0)
    keep(store, b"a")
    assert keys_in(store) == {b"a"}


def test_a_smaller_limit_evicts_at_once() -> None:
    store = store_for(5)
    keep(store, b"a", b"b", b"c", b"d", b"e")

    store.resize(2 * ONE, MIB)

    assert keys_in(store) == {b"d", b"e"}
    assert store.bytes <= store.limit_bytes


def test_the_store_may_change_while_its_shelves_are_listed() -> None:
    store = store_for(5)
    keep(store, b"a", b"b", b"c")

    for shelf in store:
        store.remove(shelf.key)

    assert store.objects == 0


@pytest.mark.parametrize("body_bytes", [0, 1000, 20_000])
def test_objects_take_no_more_memory_than_the_store_says(body_bytes: int) -> None:
    store = MemoryStore(1 << 40, 1 << 40)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(2000):
            store.keep(b"https://hub.example/%d" % number, [response(b"." * body_bytes)])
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert taken <= store.bytes * 1.1


LIMIT = 40_000
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["keep", "keep", "keep", "use", "remove"]),
        st.integers(0, 9),
        st.lists(st.integers(0, 9000), min_size=1, max_size=3),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(STEPS)
def test_it_is_a_dict_that_may_forget_but_never_invents_and_never_passes_its_limit(
    steps: list[tuple[str, int, list[int]]],
) -> None:
    store = MemoryStore(LIMIT, max_object_bytes=12_000)
    model: dict[bytes, tuple[object, ...]] = {}
    seen: set[Shelf] = set()
    for step, number, sizes in steps:
        key = b"%d" % number
        if step == "use":
            shelf = store.peek(key)
            if shelf is not None:
                shelf.visited = True
        elif step == "remove":
            was_there = store.peek(key) is not None
            assert store.remove(key) == was_there
            model.pop(key, None)
        else:
            variants = [response(b"." * size) for size in sizes]
            if store.keep(key, variants):
                model[key] = tuple(variants)
            else:
                model.pop(key, None)
                assert store.peek(key) is None
        seen.update(store)
        assert store.bytes == sum(shelf.bytes for shelf in store) <= LIMIT
        assert store.objects == len(list(store))
        for shelf in seen:
            assert shelf.live == (store.peek(shelf.key) is shelf)
        for shelf in store:
            assert shelf.variants == model[shelf.key][: len(shelf.variants)]
