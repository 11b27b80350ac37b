"""Hits that are fresh and in memory: written where the bytes came in, no task, no await.

Three ways lead to the same bytes. A head that is known has its answer ready for the present
second; a known answer of an earlier second gets a new Age; and a new head has been decided
on by `asking.ask`, like every request.
"""

from dataclasses import replace
from typing import Protocol

from gateway.edge.asked import Cacheable, Settled
from gateway.edge.deliver import encode_lines
from gateway.edge.heads import COPIED_BODY_BYTES, LoggedRequest, RepeatedHead, without_cookie
from gateway.edge.interfaces import NOTHING
from gateway.edge.logged import context
from gateway.edge.select import asked_fields, select, wants_range
from gateway.edge.site import Site
from gateway.policy import outcome, preconditions
from gateway.policy.age import current_age
from gateway.policy.outcome import Word
from gateway.policy.ranges import Piece
from gateway.policy.refresh import early_window
from gateway.policy.reuse import Deliver
from gateway.policy.stored import StoredResponse
from gateway.storage.interface import Shelf
from gateway.wire.message import RequestHead

_HIT: str = Word.HIT.value
_MARGIN_SECONDS = 2.0
"""Prepared answers are used no closer to their end than this, because the second they are
prepared for may be a late one; nearer to it every request is judged by the exact time."""


class HitWriter(Protocol):
    """The client's connection, as the fast lane sees it."""

    address: bytes

    def write(self, data: Piece) -> None:
        """Send *data*."""

    def write_pieces(self, pieces: list[Piece]) -> None:
        """Send *pieces* in one go."""


class FastLane:
    """Answers fresh hits for one worker."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.logging = site.access_log is not None

    def renew(self, entry: RepeatedHead, address: bytes) -> bool:
        """Prepare *entry* for the present second; False when it has to be decided anew.

        Where clients are limited it is prepared each time, for the one at *address*.
        """
        stamp = self._site.stamp
        shelf = entry.shelf
        if (
            not self._site.is_current()
            or not shelf.live
            or entry.until < stamp.now + _MARGIN_SECONDS
            or shelf.checked != self._site.purges.serial
        ):
            return False
        quota = b""
        if entry.limited is not None:
            told = self._site.limiter.spend(entry.limited, address, self._site.monotonic())
            if isinstance(told, Settled):
                # Nothing was counted: it comes to the same the long way.
                return False
            quota = told
        age = current_age(entry.stored.arrival, stamp.now)
        head = b"%b%bAge: %d\r\nCache-Status: %b\r\n%b" % (
            entry.before_age,
            quota,
            age,
            outcome.cache_status(ttl=entry.stored.lifetime - age),
            entry.after_age,
        )
        if len(entry.body) <= COPIED_BODY_BYTES:
            entry.wire = head + entry.body
        else:
            entry.wire = head
            entry.large_body = entry.body
        entry.shelf.visited = True
        if entry.limited is None:
            entry.stamp = stamp.value
            self._site.heads.touch(entry)
        elif not entry.hits:
            self._site.heads.touch(entry)
        return True

    def deliver(
        self,
        client: HitWriter,
        raw: bytes,
        head: RequestHead,
        asked: Cacheable,
        verdict: Deliver,
        *,
        persistent: bool,
    ) -> bool:
        """Answer *head*, whose bytes are *raw*, with the stored response of *verdict*.

        False when the connection wants more than an answer: its state has to follow.
        """
        if not persistent or head.minor == 0 or asked.shelf is None or wants_range(head):
            return False
        site = self._site
        shelf = asked.shelf
        stored = verdict.stored
        if asked.route.represents:
            found = site.representations.at_hand(asked.key, shelf, stored, asked.route, head)
            if found is None:
                return False
            stored = found
        index = head.fields.index()
        unmodified = (
            b"if-none-match" in index or b"if-modified-since" in index
        ) and preconditions.evaluate(
            asked_fields(head, stored), stored
        ) is preconditions.Outcome.NOT_MODIFIED
        prepared = shelf.prepared
        before_age = None if prepared is None else prepared.get((id(stored), unmodified))
        if before_age is None:
            before_age = self._prepare(shelf, head, stored, asked, unmodified=unmodified)
        if unmodified:
            status, after_age, body = 304, b"\r\n", b""
        else:
            status = stored.status
            after_age = b"Content-Length: %d\r\n\r\n" % len(stored.body)
            body = b"" if head.method == b"HEAD" else stored.body
        route = asked.route
        labels = (route.name, _HIT, status // 100)
        by_cookie = asked.by_cookie
        if not by_cookie and stored.nominated:
            by_cookie = any(name == b"cookie" for name, _ in stored.nominated)
        key = raw if by_cookie else without_cookie(raw)
        # Where the client's address or scheme decides, the head alone doesn't.
        wanted = (
            not route.access and not head.secure and not stored.passing and site.heads.wants(key)
        )
        if wanted or self.logging:
            logged: LoggedRequest = (
                head.method,
                head.target.encode(),
                head.host,
                status,
                route.origin,
                index.get(b"user-agent") or b"",
                index.get(b"referer") or b"",
                context(site, head, asked) if self.logging else NOTHING,
            )
            until = min(verdict.until, asked.until)
            if route.cache.early_refresh:
                # From then on each hit draws lots.
                until = min(until, verdict.until - early_window(stored))
            entry = RepeatedHead(
                shelf, stored, labels, before_age, after_age, body, until, logged,
                by_cookie=by_cookie, limited=asked.limited,
            )  # fmt: skip
            if wanted:
                site.heads.admit(key, entry)
            if self.logging:
                self.log_repeated(entry, client.address)
        shelf.visited = True
        age = verdict.age
        answer = b"%b%bAge: %d\r\nCache-Status: gateway; hit; ttl=%d\r\n%b" % (
            before_age,
            asked.quota,
            age,
            stored.lifetime - age,
            after_age,
        )
        if len(body) <= COPIED_BODY_BYTES:
            client.write(answer + body)
        else:
            client.write_pieces([answer, body])
        site.insight.hits(stored, 1, len(body))
        counters = site.counters
        counters.requests[labels] += 1
        counters.body_bytes[labels] += len(body)
        return True

    def _prepare(
        self,
        shelf: Shelf,
        head: RequestHead,
        stored: StoredResponse,
        asked: Cacheable,
        *,
        unmodified: bool,
    ) -> bytes:
        """Return the head of a hit up to its Age, and keep it with the shelf.

        Not while it is still being learned what the page needs: the next one may say so.
        """
        selected = select(head, stored, asked.route)
        lasts = True
        if asked.route.hints is not None and selected.status == 200:
            lines = self._site.hints.linked(asked.route, head, selected.lines)
            selected = replace(selected, lines=lines)
            lasts = self._site.hints.settled(asked.route, head, stored)
        before_age = b"HTTP/1.1 %d %b\r\n%bX-Cache: HIT\r\n" % (
            selected.status,
            selected.reason,
            encode_lines(selected.lines),
        )
        if lasts:
            if shelf.prepared is None:
                shelf.prepared = {}
            shelf.prepared[id(stored), unmodified] = before_age
        return before_age

    def log_repeated(self, entry: RepeatedHead, address: bytes) -> None:
        """Write the access log's line for a hit."""
        log = self._site.access_log
        assert log is not None
        method, target, host, status, origin, agent, referer, told = entry.log
        log.write(
            (
                self._site.clock(),
                address.decode(),
                method,
                target,
                host,
                1,
                status,
                entry.body_bytes,
                0.0,
                entry.labels[0],
                entry.labels[1],
                origin,
                "",
                agent,
                referer,
                told,
            )
        )
