"""Requests that go to the origin again and again, byte for byte: what is known of them.

What `heads.py` is for hits: a head that was decided on and forwarded a moment ago needs no
second look, and when the endpoint answers with the head it sent before, neither does that.
An entry holds for the stamp it was made under, a second at most, and the table with it: so
it needs no eviction, and a flood of heads that never return is bounded.
"""

from gateway.clock import Stamp
from gateway.edge.asked import Asking
from gateway.wire.message import RequestHead, ResponseHead

_MOST_HEADS = 4096
MAX_HEAD_BYTES = 4 * 1024


class RepeatedPass:
    """One head, how it is forwarded, and how the last answer to it began."""

    __slots__ = ("answer_head", "asked", "before_client", "head", "key", "response")

    def __init__(
        self, head: RequestHead, asked: Asking, key: bytes | None, before_client: bytes
    ) -> None:
        self.head = head
        self.asked = asked
        self.key = key
        """The cache key whose requests go side by side; None when the cache isn't asked."""
        self.before_client = before_client
        """The head for the origin, up to what names the client."""
        self.response: ResponseHead | None = None
        """The last answer's head, as it came; None before the first."""
        self.answer_head = b""
        """...and as it was sent on."""


class RepeatedPasses:
    """The table of one worker."""

    __slots__ = ("_made_under", "_stamp", "_table")

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._made_under = -1
        self._table: dict[bytes, RepeatedPass] = {}

    def find(self, raw: bytes) -> RepeatedPass | None:
        """Return what is known of the head *raw* at this moment."""
        if self._made_under != self._stamp.value:
            return None
        return self._table.get(raw)

    def note(self, raw: bytes, entry: RepeatedPass) -> None:
        """Remember *entry* for the head *raw* as long as the present stamp holds."""
        if self._made_under != self._stamp.value:
            self._made_under = self._stamp.value
            self._table = {}
        if len(self._table) < _MOST_HEADS and len(raw) <= MAX_HEAD_BYTES:
            self._table[raw] = entry
