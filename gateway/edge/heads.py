"""Heads that were seen before, and the answers that are ready for them.

A client sends the same head over and over, byte for byte; a browser varies at most its
Cookie. So an answer is prepared for the bytes of a head, once a second because of its Age,
and the next such head costs one look-up. An entry holds only under the stamp it was
prepared with; a purge, a reload and the passing second all change the stamp.

The table is two generations of bounded size, and a head is admitted when it comes for the
second time: a flood of heads that never return displaces nothing that does.
"""

import re
from collections.abc import Sequence

from gateway.clock import Stamp
from gateway.counters import Counters, RequestLabels
from gateway.edge.asked import Limited
from gateway.edge.insight import Insight
from gateway.edge.interfaces import Context
from gateway.policy.stored import StoredResponse
from gateway.storage.interface import Shelf

GENERATION_HEADS = 16_384
GENERATION_BYTES = 24 * 1024 * 1024
"""What the heads of one generation and the answers prepared for them may take; this is
beside what the memory tier counts."""
MAX_HEAD_BYTES = 4 * 1024
COPIED_BODY_BYTES = 16 * 1024
"""A body up to this size is kept behind its head, ready in one piece: copying it once a
second is cheaper than a second write for each hit."""
_REMEMBERED_STRANGERS = 65_536

LoggedRequest = tuple[bytes, bytes, bytes, int, str, bytes, bytes, Context]
"""(method, target, host, status, origin, user agent, referer, context)."""

_COOKIE_LINE = re.compile(rb"\r\n[Cc]ookie: [ -~]*(?=\r\n)")


class RepeatedHead:
    """One head and the answer that is ready for it."""

    __slots__ = (
        "after_age",
        "before_age",
        "body",
        "body_bytes",
        "by_cookie",
        "head_bytes",
        "hits",
        "labels",
        "large_body",
        "limited",
        "log",
        "shelf",
        "stamp",
        "stored",
        "until",
        "weight",
        "wire",
    )  # fmt: skip

    def __init__(
        self,
        shelf: Shelf,
        stored: StoredResponse,
        labels: RequestLabels,
        before_age: bytes,
        after_age: bytes,
        body: bytes,
        until: float,
        log: LoggedRequest,
        *,
        by_cookie: bool,
        limited: Limited | None = None,
    ) -> None:
        self.shelf = shelf
        self.stored = stored
        self.labels = labels
        self.before_age = before_age
        self.after_age = after_age
        self.body = body
        """Sent after the head; empty for HEAD and 304."""
        self.body_bytes = len(body)
        self.until = until
        """Epoch seconds up to which the decision holds."""
        self.by_cookie = by_cookie
        """Whether a head that differs in its Cookie might be answered otherwise."""
        self.limited = limited
        """By whom its requests are counted; None for not at all. Then nothing is ready ahead."""
        self.log = log
        self.stamp: float = -1
        self.wire = b""
        """What is sent, whole or all but `large_body`."""
        self.large_body = b""
        """A body too large to be copied behind its head."""
        self.hits = 0
        """Answers given since they were last counted."""
        self.head_bytes = 0
        """The length of the head, less a Cookie line that doesn't matter."""
        self.weight = 0


class RepeatedHeads:
    """The table of repeated heads of one worker."""

    __slots__ = (
        "_counters",
        "_insight",
        "_old",
        "_stamp",
        "_strangers",
        "_touched",
        "_young_bytes",
        "young",
    )

    def __init__(self, stamp: Stamp, counters: Counters, insight: Insight) -> None:
        self._stamp = stamp
        self._counters = counters
        self._insight = insight
        self.young: dict[bytes, RepeatedHead] = {}
        self._young_bytes = 0
        self._old: dict[bytes, RepeatedHead] = {}
        self._strangers: set[int] = set()
        self._touched: list[RepeatedHead] = []

    def find(self, head: bytes) -> RepeatedHead | None:
        """Return the entry for *head*, which isn't in `young`; it may be outdated.

        A Cookie line that doesn't matter is left out of account.
        """
        entry = self._old.get(head)
        if entry is not None:
            self._put(head, entry)
            return entry
        cookie = _cookie_line(head)
        if cookie is None:
            return None
        start, end = cookie.span()
        bare = head[:start] + head[end:]
        entry = self.young.get(bare)
        if entry is None:
            entry = self._old.get(bare)
            if entry is None:
                return None
            self._put(bare, entry)
        if entry.by_cookie:
            return None
        self._counters.received_bytes += end - start
        return entry

    def wants(self, head: bytes) -> bool:
        """Return whether *head* comes for the second time, at least."""
        if len(head) > MAX_HEAD_BYTES:
            return False
        mark = hash(head)
        strangers = self._strangers
        if mark in strangers:
            return True
        if len(strangers) >= _REMEMBERED_STRANGERS:
            strangers.clear()
        strangers.add(mark)
        return False

    def admit(self, head: bytes, entry: RepeatedHead) -> None:
        """Keep *entry* for *head*, which is wanted."""
        entry.head_bytes = len(head)
        copied = entry.body_bytes if entry.body_bytes <= COPIED_BODY_BYTES else 0
        entry.weight = len(head) + 2 * len(entry.before_age) + copied + 1000
        self._put(head, entry)

    def _put(self, head: bytes, entry: RepeatedHead) -> None:
        if len(self.young) >= GENERATION_HEADS or self._young_bytes > GENERATION_BYTES:
            self._old = self.young
            self.young = {}
            self._young_bytes = 0
        self.young[head] = entry
        self._young_bytes += entry.weight

    def touch(self, entry: RepeatedHead) -> None:
        """Note that *entry* is in use under the present stamp, so that its hits are counted."""
        self._touched.append(entry)

    @property
    def touched(self) -> Sequence[RepeatedHead]:
        """The entries in use under the present stamp, with hits that aren't folded yet."""
        return self._touched

    def fold(self) -> None:
        """Add the hits since the last time to the counts."""
        requests = self._counters.requests
        body_bytes = self._counters.body_bytes
        for entry in self._touched:
            if entry.hits:
                requests[entry.labels] += entry.hits
                body_bytes[entry.labels] += entry.hits * entry.body_bytes
                self._counters.received_bytes += entry.hits * entry.head_bytes
                self._insight.hits(entry.stored, entry.hits, entry.body_bytes)
                entry.hits = 0
        self._touched.clear()

    def forget_dead(self) -> None:
        """Let go of what is no longer stored: its bytes count nowhere any more."""
        for table in (self.young, self._old):
            for head in [head for head, entry in table.items() if not entry.shelf.live]:
                entry = table.pop(head)
                if table is self.young:
                    self._young_bytes -= entry.weight

    def clear(self) -> None:
        """Forget every head."""
        self.fold()
        self.young = {}
        self._old = {}
        self._young_bytes = 0


def _cookie_line(head: bytes) -> re.Match[bytes] | None:
    """Return where the first Cookie line of *head* is; None when there is none.

    Anything but visible characters and spaces in it is for the parser to judge.
    """
    at = head.find(b"ookie: ")
    return _COOKIE_LINE.match(head, at - 3) if at > 3 else None


def without_cookie(head: bytes) -> bytes:
    """Return *head* less its first Cookie line, if it has one."""
    cookie = _cookie_line(head)
    return head if cookie is None else head[: cookie.start()] + head[cookie.end() :]
