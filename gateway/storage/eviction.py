"""Which shelf goes when memory runs out: SIEVE (Zhang et al., NSDI 2024).

Shelves stand in the order in which they came. A hand walks from the oldest to the newest
and round again; a visited shelf loses its mark and stays where it stands, the first
unvisited one goes. So a hit costs one assignment and moves nothing, and what a scan
brings in goes again before what is in use. Figures against LRU and S3-FIFO are in
docs/decisions/0003-eviction.md.
"""

from gateway.storage.interface import Shelf


class Sieve:
    """The order of eviction; it knows nothing of keys or sizes."""

    __slots__ = ("_end", "_hand")

    def __init__(self) -> None:
        # The end stands between newest and oldest and closes the ring, so that linking
        # has no special cases: its `newer` is the oldest shelf, its `older` the newest.
        end = Shelf(b"", (), 0)
        end.newer = end.older = end
        self._end = end
        self._hand = end

    def add(self, shelf: Shelf) -> None:
        """Let *shelf* stand as the newest."""
        end = self._end
        newest = end.older
        shelf.older = newest
        shelf.newer = end
        newest.newer = shelf
        end.older = shelf

    def discard(self, shelf: Shelf) -> None:
        """Take *shelf*, which stands here, out of the order."""
        newer = shelf.newer
        older = shelf.older
        older.newer = newer
        newer.older = older
        if self._hand is shelf:
            self._hand = newer
        # Without its links a dead shelf frees its bodies at once, not at the next
        # collection of cycles.
        del shelf.newer, shelf.older

    def evict(self) -> Shelf:
        """Take the next unvisited shelf out of the order and return it.

        Raises LookupError when no shelf stands here.
        """
        end = self._end
        shelf = self._hand
        if shelf is end:
            shelf = end.newer
            if shelf is end:
                raise LookupError("nothing to evict")
        while shelf.visited:
            shelf.visited = False
            shelf = shelf.newer
            if shelf is end:
                shelf = end.newer
        self._hand = shelf
        self.discard(shelf)
        return shelf
