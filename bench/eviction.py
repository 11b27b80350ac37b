"""Which eviction keeps what is in use, and at what price?  (`python -m bench.eviction`).

The same requests go to LRU, SIEVE and S3-FIFO, each with room for a tenth of the objects:
Zipf-distributed, as the pages of a site are, and now and then a scan that asks for many
objects once, as a crawler does. The seed is fixed; hit ratios are the same on every run.
SIEVE is the one that the gateway ships; the other two are as plain as they can be.
"""

import random
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from itertools import accumulate

from gateway.storage.eviction import Sieve
from gateway.storage.interface import Shelf

OBJECTS = 100_000
CAPACITY = OBJECTS // 10
REQUESTS = 1_000_000
SKEW = 0.9
SCAN_EVERY = 100_000
SCAN_LENGTH = CAPACITY
"""A scan as long as the cache is the least that empties an LRU."""
ROUNDS = 3

Access = Callable[[bytes], bool]
"""Ask for an object: True for a hit; a miss puts it in."""


def lru(capacity: int) -> Access:
    """Least recently used, by an OrderedDict."""
    kept: OrderedDict[bytes, None] = OrderedDict()

    def access(key: bytes) -> bool:
        if key in kept:
            kept.move_to_end(key)
            return True
        if len(kept) >= capacity:
            kept.popitem(last=False)
        kept[key] = None
        return False

    return access


def sieve(capacity: int) -> Access:
    """SIEVE as shipped: shelves in a dict, a mark on each hit."""
    kept: dict[bytes, Shelf] = {}
    order = Sieve()

    def access(key: bytes) -> bool:
        shelf = kept.get(key)
        if shelf is not None:
            shelf.visited = True
            return True
        if len(kept) >= capacity:
            del kept[order.evict().key]
        kept[key] = shelf = Shelf(key, (), 1)
        order.add(shelf)
        return False

    return access


class S3Fifo:
    """S3-FIFO (Yang et al., SOSP 2023): a small queue, a main one, and a list of ghosts."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.small_capacity = capacity // 10
        self.main_capacity = capacity - self.small_capacity
        self.counts: dict[bytes, int] = {}
        self.small: deque[bytes] = deque()
        self.main: deque[bytes] = deque()
        self.ghosts: OrderedDict[bytes, None] = OrderedDict()

    def access(self, key: bytes) -> bool:
        count = self.counts.get(key)
        if count is not None:
            if count < 3:
                self.counts[key] = count + 1
            return True
        if len(self.counts) >= self.capacity:
            self.make_room()
        self.counts[key] = 0
        if key in self.ghosts:
            del self.ghosts[key]
            self.main.append(key)
        else:
            self.small.append(key)
        return False

    def make_room(self) -> None:
        if len(self.small) < self.small_capacity:
            self.evict_main()
            return
        while self.small:
            key = self.small.popleft()
            if self.counts[key] <= 1:
                del self.counts[key]
                self.ghosts[key] = None
                if len(self.ghosts) > self.main_capacity:
                    self.ghosts.popitem(last=False)
                return
            self.counts[key] = 0
            self.main.append(key)
        self.evict_main()

    def evict_main(self) -> None:
        while True:
            key = self.main.popleft()
            if not self.counts[key]:
                del self.counts[key]
                return
            self.counts[key] -= 1
            self.main.append(key)


def s3_fifo(capacity: int) -> Access:
    return S3Fifo(capacity).access


POLICIES: dict[str, Callable[[int], Access]] = {"LRU": lru, "SIEVE": sieve, "S3-FIFO": s3_fifo}


def requests(*, scans: bool) -> list[bytes]:
    """Return what is asked for; what a scan asks for begins with ``s`` and comes once."""
    chance = random.Random(2024)
    weights = list(accumulate(1 / rank**SKEW for rank in range(1, OBJECTS + 1)))
    names = [b"%d" % number for number in range(OBJECTS)]
    asked = chance.choices(names, cum_weights=weights, k=REQUESTS)
    if not scans:
        return asked
    mixed: list[bytes] = []
    for start in range(0, REQUESTS, SCAN_EVERY):
        mixed += asked[start : start + SCAN_EVERY]
        mixed += [b"s%d-%d" % (start, number) for number in range(SCAN_LENGTH)]
    return mixed


def run(access: Access, asked: Sequence[bytes]) -> tuple[float, float]:
    """Return the ratio of hits among requests that aren't a scan's, and ns for one access."""
    hits = 0
    begun = time.perf_counter()
    for key in asked:
        hits += access(key)
    took = time.perf_counter() - begun
    wanted = sum(not key.startswith(b"s") for key in asked)
    return hits / wanted, took / len(asked) * 1e9


def main() -> None:
    """Print the table."""
    print(f"{OBJECTS:,} objects, room for {CAPACITY:,}, {REQUESTS:,} requests, Zipf {SKEW}")
    print(f"{'':8} {'hits':>8} {'with scans':>11} {'ns an access':>13} {'ns a hit':>9}")
    plain, scanned = requests(scans=False), requests(scans=True)
    popular = [b"%d" % number for number in range(1000)] * 200
    for name, policy in POLICIES.items():
        hits, _ = run(policy(CAPACITY), plain)
        mixed = [run(policy(CAPACITY), scanned) for _ in range(ROUNDS)]
        access = policy(CAPACITY)
        hit_ns = min(run(access, popular)[1] for _ in range(ROUNDS))
        access_ns = min(ns for _, ns in mixed)
        print(f"{name:8} {hits:>8.1%} {mixed[0][0]:>11.1%} {access_ns:>13.0f} {hit_ns:>9.0f}")


if __name__ == "__main__":
    main()
