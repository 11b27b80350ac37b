"""What lies in a store, and what every tier promises.

A store files stored responses under a primary cache key (RFC 9111 section 2): bytes that
`policy/key.py` makes and that a store never looks into. What differs under one key by Vary
lies on one shelf, newest first; which variant fits a request is the policy's question.
"""

from collections.abc import Sequence
from typing import Protocol

from gateway.policy.stored import StoredResponse


class Shelf:
    """What lies under one key, from the moment it is kept until something replaces it.

    The variants never change in place. The two marks do: who holds a shelf checks `live`
    before using it, and sets `visited` after.
    """

    __slots__ = ("bytes", "checked", "key", "live", "newer", "older", "prepared",
                 "represented", "variants", "visited")  # fmt: skip

    def __init__(self, key: bytes, variants: tuple[StoredResponse, ...], size: int) -> None:
        self.key = key
        self.variants = variants
        """Newest first; at least one."""
        self.bytes = size
        """What it costs in memory: key, heads, bodies and the objects around them."""
        self.checked = -1
        """The serial of the purges under which the variants were last judged."""
        self.live = True
        """False once evicted, removed or replaced; it never becomes True again."""
        self.visited = False
        """Used since the eviction's hand last came by."""
        self.prepared: dict[tuple[int, bool], bytes] | None = None
        """What whoever delivers from here has prepared; it lasts as long as the shelf. None
        before the first delivery."""
        self.represented: dict[object, StoredResponse] | None = None
        """Its variants as clients of each content coding get them, made at the first delivery."""
        # Its neighbours in the order of eviction are set while it stands there, and only
        # then: links that stayed would hold dead shelves in memory.
        self.newer: Shelf
        self.older: Shelf

    def __repr__(self) -> str:
        state = "live" if self.live else "dead"
        return f"<Shelf {self.key!r}: {len(self.variants)} variants, {self.bytes} bytes, {state}>"


class Storage(Protocol):
    """Keeps stored responses.  May lose anything at any time; never invents."""

    async def lookup(self, key: bytes) -> Sequence[StoredResponse]:
        """Return the variants under *key*, newest first; none when the medium is down."""

    async def keep(self, key: bytes, variants: Sequence[StoredResponse]) -> bool:
        """Put *variants*, newest first, in place of what lies under *key*.

        False when they aren't kept; then nothing lies under *key*.
        """

    async def remove(self, key: bytes) -> bool:
        """Forget what lies under *key*; False when nothing did."""
