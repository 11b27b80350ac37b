"""Requests that go to the origin again and again, byte for byte: what is known of them.

What `heads.py` is for hits: a head that was decided on and forwarded a moment ago needs no
second look, and when the endpoint answers with the head it sent before, neither does that.
An entry holds for the stamp it was made under, a second at most, and the table with it: so
it needs no eviction, and a flood of heads that never return is bounded.
"""

from gateway.counters import Counters, Latencies, RequestLabels
from gateway.edge import forwarding, treatment
from gateway.edge.asked import Asking, Cacheable
from gateway.edge.insight import Insight
from gateway.origin.origin import Origin
from gateway.policy.outcome import Word
from gateway.wire.message import RequestHead, ResponseHead

_MOST_HEADS = 4096
MAX_HEAD_BYTES = 4 * 1024


class RepeatedPass:
    """One head, how it is forwarded, and how the last answer to it began."""

    __slots__ = ("_address", "_before_client", "answer_head", "asked", "asked_for",
                 "body_bytes", "forwarded", "head", "hits", "key", "labels", "latencies",
                 "patience", "pool", "response", "stamp", "timeouts")  # fmt: skip

    def __init__(
        self,
        head: RequestHead,
        asked: Asking,
        before_client: bytes,
        pool: Origin,
        latencies: Latencies,
        stamp: float,
    ) -> None:
        """*before_client* is the head for the origin, up to what names the client."""
        self.head = head
        self.asked = asked
        cached = isinstance(asked, Cacheable)
        self.key = asked.key if isinstance(asked, Cacheable) else None
        """The cache key whose requests go side by side; None when the cache isn't asked."""
        self.pool = pool
        self.asked_for = before_client.partition(b"\r\n")[0]
        """The request line, by which requests are told apart where endpoints are chosen so."""
        own = treatment.timeouts(asked.route, pool.settings.timeouts)
        timeouts = pool.settings.timeouts if own is None else own
        self.patience = min(timeouts.first_byte, timeouts.total)
        """Seconds that the origin has for its response head."""
        self.timeouts = own
        self.latencies = latencies
        word: str = Word.PASS.value if cached else Word.BYPASS.value
        self.labels: RequestLabels = (asked.route.name, word, 2)
        self._before_client = before_client
        self._address = b""
        self.forwarded = b""
        """The whole head for the origin, for the last client."""
        self.stamp = stamp
        """What it was made under; it holds no longer."""
        self.response: ResponseHead | None = None
        """The last answer's head, as it came; None before the first."""
        self.answer_head = b""
        """...and as it was sent on."""
        self.hits = 0
        """Answers sent on since they were last counted, and the bytes of their bodies."""
        self.body_bytes = 0

    def forward_for(self, address: bytes) -> bytes:
        """Return the whole head for the origin, for a client at *address*."""
        if self._address != address:
            self._address = address
            self.forwarded = self._before_client + forwarding.of_client(address, self.head)
        return self.forwarded

    def answered(self, head: ResponseHead, sent: bytes) -> None:
        """Note that the origin's *head* was *sent* on so."""
        self.response = head
        self.answer_head = sent
        self.labels = (*self.labels[:2], head.status // 100)


class RepeatedPasses:
    """The table of one worker."""

    __slots__ = ("_counters", "_insight", "_made_under", "table")

    def __init__(self, counters: Counters, insight: Insight) -> None:
        self._counters = counters
        self._insight = insight
        self._made_under: float = -1
        self.table: dict[bytes, RepeatedPass] = {}
        """What is known, by the head's bytes; look at the stamp before using it."""

    def note(self, raw: bytes, entry: RepeatedPass) -> None:
        """Remember *entry* for the head *raw* as long as its stamp holds."""
        if self._made_under != entry.stamp:
            self._made_under = entry.stamp
            self.clear()
        if len(self.table) < _MOST_HEADS and len(raw) <= MAX_HEAD_BYTES:
            self.table[raw] = entry

    def fold(self) -> None:
        """Add the answers since the last time to the counts."""
        counters = self._counters
        for entry in self.table.values():
            if entry.hits:
                counters.requests[entry.labels] += entry.hits
                counters.body_bytes[entry.labels] += entry.body_bytes
                self._insight.asked(
                    entry.head, entry.asked, entry.response, served=False, count=entry.hits
                )
                entry.hits = entry.body_bytes = 0

    def clear(self) -> None:
        """Forget every head."""
        self.fold()
        # In place: connections hold on to the table.
        self.table.clear()
