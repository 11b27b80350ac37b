"""The memory tier of one worker: bounded in bytes, asked without waiting.

It speaks synchronously, unlike the tiers below it, because the fast lane answers inside
`data_received` and a hit is one dict lookup. Nothing here reads a clock: a stale response
stays until something newer replaces it or memory runs out, since it can be validated or
answer for an origin that is down.
"""

from collections.abc import Iterator, Sequence

from gateway.policy.stored import StoredResponse
from gateway.storage.eviction import Sieve
from gateway.storage.interface import Shelf

# Measured as 231 to 261 bytes under CPython 3.11, depending on how full the dict is.
# Together with `StoredResponse.weight`, 100,000 objects of 1 KB take 0.89 of what is
# counted, in resident memory: `python -m bench.weight`.
SHELF_BYTES = 1000
"""What a shelf takes besides its variants: itself, its key's header, tuple and dict entry are
300; what is prepared for its deliveries takes another 600 to 800."""


class MemoryStore:
    """Shelves by key; never holds more than its limit, counting what objects really take."""

    __slots__ = (
        "_order",
        "_shelves",
        "bytes",
        "evictions",
        "limit_bytes",
        "max_object_bytes",
        "rejected",
    )

    def __init__(self, limit_bytes: int, max_object_bytes: int) -> None:
        self._shelves: dict[bytes, Shelf] = {}
        self._order = Sieve()
        self.limit_bytes = limit_bytes
        self.max_object_bytes = min(max_object_bytes, limit_bytes)
        self.bytes = 0
        self.evictions = 0
        """Shelves that went to make room, since the start."""
        self.rejected = 0
        """Times that something was too large to keep, since the start."""

    @property
    def objects(self) -> int:
        """How many shelves there are."""
        return len(self._shelves)

    def peek(self, key: bytes) -> Shelf | None:
        """Return the shelf under *key*, or None.

        No bookkeeping: the caller that answers from a shelf sets its `visited`.
        """
        return self._shelves.get(key)

    def keep(self, key: bytes, variants: Sequence[StoredResponse]) -> bool:
        """Put *variants*, newest first, in place of what lies under *key*.

        The variants of one key share the limit for one object: the oldest are left out
        when they don't fit beside the newest. False when not even the newest fits (or
        there is none); then nothing lies under *key*.
        """
        known = self.remove(key)
        size = SHELF_BYTES + len(key)
        fitting = 0
        for variant in variants:
            weight = variant.weight
            if size + weight > self.max_object_bytes:
                break
            size += weight
            fitting += 1
        if not fitting:
            self.rejected += bool(variants)
            return False
        self._make_room(self.limit_bytes - size)
        shelf = Shelf(key, tuple(variants[:fitting]), size)
        # Whoever replaces a shelf was asked for it again.
        shelf.visited = known
        self._shelves[key] = shelf
        self._order.add(shelf)
        self.bytes += size
        return True

    def remove(self, key: bytes) -> bool:
        """Forget what lies under *key*; False when nothing did."""
        shelf = self._shelves.pop(key, None)
        if shelf is None:
            return False
        self._order.discard(shelf)
        self._retire(shelf)
        return True

    def clear(self) -> None:
        """Forget everything; the counts of evictions and rejections stay."""
        self._make_room(0, counted=False)

    def resize(self, limit_bytes: int, max_object_bytes: int) -> None:
        """Take new limits into effect, evicting what is above them.

        Objects above the new limit for one object stay until something replaces them.
        """
        self.limit_bytes = limit_bytes
        self.max_object_bytes = min(max_object_bytes, limit_bytes)
        self._make_room(limit_bytes)

    def __iter__(self) -> Iterator[Shelf]:
        """Iterate over the shelves there are now; the store may change meanwhile."""
        return iter(list(self._shelves.values()))

    def _make_room(self, limit: int, *, counted: bool = True) -> None:
        while self.bytes > limit:
            shelf = self._order.evict()
            del self._shelves[shelf.key]
            self._retire(shelf)
            self.evictions += counted

    def _retire(self, shelf: Shelf) -> None:
        shelf.live = False
        self.bytes -= shelf.bytes
