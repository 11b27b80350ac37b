"""Telling browsers early what a page will need (RFC 8297), as its earlier answers said.

What a page asks for is learned from its HTML as that passes. Then, while the origin still
makes the page, whoever asks for it by HTTP/2 gets a 103 with what to fetch meanwhile; and every
answer has it in a Link field, which browsers and CDNs before us heed. Only what the rules call
public is told: what one user's page needs must not show in another's.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from gateway.edge import encoders
from gateway.edge.page_links import LOOKED_AT_BYTES, PageLink, links
from gateway.errors import MalformedRequest
from gateway.policy.rules import Scope
from gateway.policy.stored import StoredResponse
from gateway.routing.route import Early, Route
from gateway.wire.fields import FieldLine, Fields, elements, line
from gateway.wire.message import RequestHead
from gateway.wire.target import origin_form

_MOST_PAGES = 4096
_AGAIN_SECONDS = 5.0
"""A page that was looked at just now isn't looked at again."""
_LONGEST_DECODED = 1024 * 1024
_LONGEST_FIELD = 4096

Run = Callable[[Callable[[], object], Callable[..., None]], None]


@dataclass(slots=True)
class _Known:
    learned: float
    """Monotonic seconds."""
    link: bytes = b""
    looked: bool = False
    """Whether it was looked at to the end at least once."""


class Page:
    """The first part of a page that is passing."""

    __slots__ = ("body", "fields")

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.body = bytearray()

    def add(self, data: bytes) -> None:
        """Take some more of it."""
        room = (_LONGEST_DECODED if self.is_encoded else LOOKED_AT_BYTES) - len(self.body)
        if room > 0:
            self.body += data[:room]

    @property
    def is_encoded(self) -> bool:
        """Whether its beginning can't be read without its end."""
        return b"content-encoding" in self.fields


class Hints:
    """What pages will need, in one worker."""

    def __init__(self, run: Run, route_of: Callable[[RequestHead], Route]) -> None:
        self._run = run
        self._route_of = route_of
        self._pages: OrderedDict[tuple[bytes, bytes], _Known] = OrderedDict()

    def early(self, route: Route, head: RequestHead, *, multiplexed: bool) -> bytes:
        """Return a 103 for *head*, or nothing.

        *multiplexed* is whether the client speaks HTTP/2: one that doesn't may take a 103 for
        the answer, and gets none unless the rules say so (RFC 8297 section 3).
        """
        rules = route.hints
        if rules is None or head.minor == 0 or head.method != b"GET" or not _navigates(head):
            return b""
        if rules.early is Early.NONE or not (multiplexed or rules.early is Early.ALL):
            return b""
        link = self._link(head)
        return b"HTTP/1.1 103 Early Hints\r\nLink: %b\r\n\r\n" % link if link else b""

    def linked(
        self, route: Route, head: RequestHead, lines: tuple[FieldLine, ...]
    ) -> tuple[FieldLine, ...]:
        """Return the field *lines* of an answer to *head*, with what its page will need."""
        if route.hints is None or not any(
            name == b"content-type" and _is_html(value) for name, _, value in lines
        ):
            return lines
        link = self._link(head)
        return (*lines, line(b"Link", link)) if link else lines

    def _link(self, head: RequestHead) -> bytes:
        known = self._pages.get((head.host, head.target.path))
        return b"" if known is None else known.link

    def page(self, route: Route, head: RequestHead, status: int, fields: Fields) -> Page | None:
        """Return what the answer to *head* is to be given to; None when there's nothing in it."""
        if route.hints is None or status != 200 or head.method != b"GET":
            return None
        kind = fields.get(b"content-type")
        if kind is None or not _is_html(kind):
            return None
        known = self._pages.get((head.host, head.target.path))
        if known is not None and time.monotonic() - known.learned < _AGAIN_SECONDS:
            return None
        return Page(fields)

    def settled(self, route: Route, head: RequestHead, stored: StoredResponse) -> bool:
        """Return whether it is known what *stored*, the answer to *head*, needs.

        If it never passed here, because another worker fetched it, it is looked at now.
        """
        kind = stored.fields.get(b"content-type")
        if stored.status != 200 or kind is None or not _is_html(kind):
            return True
        known = self._pages.get((head.host, head.target.path))
        if known is not None:
            return known.looked
        if len(self._pages) >= _MOST_PAGES:
            # They would push one another out, and be looked at with each request.
            return True
        page = Page(stored.fields)
        page.add(stored.body)
        self.learn(route, head, page)
        return False

    def learn(self, route: Route, head: RequestHead, page: Page) -> None:
        """Note what *page*, the answer to *head*, needs."""
        rules = route.hints
        if rules is None:
            return
        at = (head.host, head.target.path)
        known = self._pages.setdefault(at, _Known(0.0))
        self._pages.move_to_end(at)
        if len(self._pages) > _MOST_PAGES:
            self._pages.popitem(last=False)
        known.learned = time.monotonic()

        def work() -> list[PageLink]:
            html = bytes(page.body)
            encoded = page.fields.get(b"content-encoding")
            if encoded is not None:
                html = encoders.decode(encoded, html, _LONGEST_DECODED)
            return links(html, head.target.path.decode("latin-1"))

        def done(found: list[PageLink] | None) -> None:
            known.looked = True
            if found is None:
                return
            members: list[bytes] = []
            size = 0
            for each in found:
                member = each.encode()
                size += len(member) + 2
                if size > _LONGEST_FIELD or len(members) == rules.most:
                    break
                if self._is_public(each, head.host):
                    members.append(member)
            known.link = b", ".join(members)

        self._run(work, done)

    def _is_public(self, found: PageLink, host: bytes) -> bool:
        try:
            target = origin_form(found.target.encode("ascii"))
        except MalformedRequest:
            return False
        route = self._route_of(RequestHead(b"GET", target, 1, host, Fields()))
        return route.answer is None and route.cache.enabled and route.cache.scope is Scope.PUBLIC


def _navigates(head: RequestHead) -> bool:
    """Return whether a page is wanted to be shown: no other request heeds hints."""
    accept = head.fields.get(b"accept")
    return accept is not None and any(
        each.partition(b";")[0].strip().lower() == b"text/html" for each in elements(accept)
    )


def _is_html(kind: bytes) -> bool:
    return kind.partition(b";")[0].strip().lower() in (b"text/html", b"application/xhtml+xml")
