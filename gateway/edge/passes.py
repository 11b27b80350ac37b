"""Requests that go to the origin again and again, byte for byte: what is known of them.

What `heads.py` is for hits: a head that was decided on and forwarded a moment ago needs no
second look, and when the endpoint answers with the head it sent before, neither does that.
An entry holds for the stamp it was made under, a second at most, and the table with it: so
it needs no eviction, and a flood of heads that never return is bounded.
"""

from gateway.edge.asked import Asking
from gateway.wire.message import RequestHead, ResponseHead

_MOST_HEADS = 4096
MAX_HEAD_BYTES = 4 * 1024


class RepeatedPass:
    """One head, how it is forwarded, and how the last answer to it began."""

    __slots__ = ("address", "answer_head", "asked", "before_client", "forwarded", "head", "key",
                 "response", "stamp")  # fmt: skip

    def __init__(
        self,
        head: RequestHead,
        asked: Asking,
        key: bytes | None,
        before_client: bytes,
        stamp: int,
    ) -> None:
        self.head = head
        self.asked = asked
        self.key = key
        """The cache key whose requests go side by side; None when the cache isn't asked."""
        self.before_client = before_client
        """The head for the origin, up to what names the client."""
        self.address = b""
        """The last client's..."""
        self.forwarded = b""
        """...and the whole head that was sent for it."""
        self.stamp = stamp
        """What it was made under; it holds no longer."""
        self.response: ResponseHead | None = None
        """The last answer's head, as it came; None before the first."""
        self.answer_head = b""
        """...and as it was sent on."""


class RepeatedPasses:
    """The table of one worker."""

    __slots__ = ("_made_under", "table")

    def __init__(self) -> None:
        self._made_under = -1
        self.table: dict[bytes, RepeatedPass] = {}
        """What is known, by the head's bytes; look at the stamp before using it."""

    def note(self, raw: bytes, entry: RepeatedPass) -> None:
        """Remember *entry* for the head *raw* as long as its stamp holds."""
        if self._made_under != entry.stamp:
            self._made_under = entry.stamp
            # Cleared in place: connections hold on to the table.
            self.table.clear()
        if len(self.table) < _MOST_HEADS and len(raw) <= MAX_HEAD_BYTES:
            self.table[raw] = entry
