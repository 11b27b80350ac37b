"""Bodies in the coding that a client takes: made once, away from the event loop, and kept.

What is stored lies on its shelf as the origin sent it, and beside it one form for each coding
that somebody asked for. Hits find their form ready; the first who asks for one waits until a
thread has made it, with everybody else who does. A body that is still arriving is encoded as
it comes (`encoding.py`). Forms that stay in demand are made again in the background, as small
as can be, within a share of one processor's time.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from gateway.background import Background
from gateway.counters import Counters
from gateway.edge import encoders
from gateway.edge.dictionaries import Dictionaries
from gateway.edge.dictionary_codings import ENCODERS
from gateway.edge.forms import Elsewhere, Kept, improvable, nothing, nowhere, with_form
from gateway.edge.heads import RepeatedHead
from gateway.edge.images import Renditions
from gateway.policy import dictionaries, negotiation
from gateway.policy import images as pictures
from gateway.policy.negotiation import IDENTITY, Choice, Coding, Compression
from gateway.policy.rules import CacheRules, Scope
from gateway.policy.stored import Form, StoredResponse
from gateway.routing.route import Route
from gateway.storage.interface import Shelf
from gateway.storage.memory import SHELF_BYTES, MemoryStore
from gateway.wire.fields import Fields
from gateway.wire.message import RequestHead, ResponseHead

_log = logging.getLogger(__name__)

INLINE_BYTES = 8 * 1024
"""Encoding this much takes 50 microseconds at most, as long as a thread takes to hear of it."""
_THREADS = 2
_WAITING_JOBS = 256
"""Bodies that may wait for a thread; beyond that clients get them as they are."""
_BUDGET = 0.1
"""The share of a second, for each second, in which bodies may be encoded again."""
_MOST_SAVED_UP = 5.0
"""Seconds of that share that an idle time may save up."""
_REMEMBERED_HITS = 4096

Made = Callable[[Form | None], None]
"""Is told the form; None when none could be made."""


def choice(route: Route, head: RequestHead) -> Choice:
    """Return what *head* comes down to on *route*."""
    rules = route.compression
    if rules is None:
        return IDENTITY
    if not rules.reflecting and head.target.query and _is_personal(route):
        return IDENTITY
    return negotiation.choose(head.fields.get(b"accept-encoding"), rules.codings)


_OF_DICTIONARIES = frozenset({b"available-dictionary", b"dictionary-id"})


def padding(route: Route, head: RequestHead) -> int:
    """Return how many bytes that mean nothing go into what *head* gets encoded; each time others.

    None but for what isn't public and may repeat some of the query (BREACH).
    """
    rules = route.compression
    if rules is None or not rules.padded or not head.target.query or not _is_personal(route):
        return 0
    return 1 + secrets.randbelow(_MOST_PADDING)


_MOST_PADDING = 256


def _is_personal(route: Route) -> bool:
    return not route.cache.enabled or route.cache.scope is not Scope.PUBLIC


def bucket(route: Route, head: RequestHead) -> None:
    """Give *head* the Accept-Encoding that stands for all that come down to the same.

    The origin and what is stored see no other, so that there are few variants.
    """
    if route.compression is not None and route.compression.dictionaries:
        if head.secure and not _is_personal(route):
            # Section 8 of RFC 9842: over TLS alone.
            head.dictionary = dictionaries.available(head.fields, ENCODERS)
        if b"available-dictionary" in head.fields:
            head.fields = head.fields.without(_OF_DICTIONARIES)
    normal = choice(route, head).normal
    if head.fields.get(b"accept-encoding") != normal:
        head.fields = head.fields.replaced(b"Accept-Encoding", normal)


def coding_for(
    route: Route, head: RequestHead, response: ResponseHead, size: int | None
) -> Coding | None:
    """Return the coding to put on *response* for *head*; None to leave it as it is.

    *size* is the length of its body, None when that isn't known.
    """
    rules = route.compression
    if rules is None or head.method == b"HEAD":
        return None
    wanted = choice(route, head)
    if wanted.coding is None or not negotiation.suits(response.status, response.fields, rules):
        return None
    least = 1 if wanted.required else rules.min_bytes
    return wanted.coding if size is None or size >= least else None


class Representations:
    """What stored responses look like to clients, and the threads that make them so."""

    def __init__(self, memory: MemoryStore, counters: Counters, background: Background) -> None:
        self._memory = memory
        self._renditions = Renditions(self.keep, self._forms_elsewhere, counters, background)
        self.dictionaries = Dictionaries(self.run, self.keep, counters)
        self._counters = counters
        self.kept: Kept = nowhere
        """Is told of what lies under a key in memory with a form more."""
        self.elsewhere: Elsewhere = nothing
        """Returns what lies under a key below memory."""
        self._threads: ThreadPoolExecutor | None = None
        self._spare: ThreadPoolExecutor | None = None
        self._waiting: dict[tuple[bytes, int, str], tuple[StoredResponse, list[Made]]] = {}
        self._hits: dict[tuple[bytes, str], int] = {}
        self._saved_up = 0.0
        self._busy_again = False
        self.jobs = 0
        """Bodies in the hands of threads, or waiting for one."""

    def at_hand(
        self,
        key: bytes,
        shelf: Shelf | None,
        stored: StoredResponse,
        route: Route,
        head: RequestHead,
    ) -> StoredResponse | None:
        """Return *stored*, which lies under *key*, as *head* gets it.

        None when its form has to be made first.
        """
        rules = route.compression
        images = route.images
        if rules is None and images is None:
            return stored
        wanted = choice(route, head)
        known = None if shelf is None else shelf.represented
        dictionary = head.dictionary
        if dictionary is not None:
            dictionary = self.dictionaries.known(dictionary, route.cache)
        at = (id(stored), wanted, head.renditions, dictionary)
        if known is not None:
            found = known.get(at)
            if found is not None:
                if found.passing and images is not None:
                    # There may have been too much to do when it was ordered.
                    self._renditions.at_hand(key, stored, route, images, head.renditions)
                return found
        if images is not None and pictures.suits(stored.status, stored.fields):
            found = self._renditions.at_hand(key, stored, route, images, head.renditions)
        else:
            found = stored if rules is None else self._find(stored, wanted, rules)
            if found is not None and rules is not None and rules.dictionaries and head.secure:
                found = self.dictionaries.applied(key, stored, found, route, head, dictionary)
        if found is not None and shelf is not None:
            if shelf.represented is None:
                shelf.represented = {}
            shelf.represented[at] = found
        return found

    def _find(
        self, stored: StoredResponse, wanted: Choice, rules: Compression
    ) -> StoredResponse | None:
        encoded = stored.fields.get(b"content-encoding")
        if encoded is not None and encoded.strip().lower() not in (b"", b"identity"):
            return _of_encoded(stored, wanted, encoded)
        if not negotiation.suits(stored.status, stored.fields, rules):
            return stored
        if wanted.coding is None or (
            len(stored.body) < (1 if wanted.required else rules.min_bytes)
        ):
            return negotiation.plain(stored)
        for form in stored.forms:
            if form.coding == wanted.coding:
                if form.body and (encoders.is_worthwhile(form) or wanted.required):
                    return negotiation.represented(stored, wanted.coding, form)
                return negotiation.plain(stored)
        return None

    def make(
        self, key: bytes, stored: StoredResponse, route: Route, head: RequestHead, made: Made
    ) -> None:
        """Have the form made that `at_hand` lacked, and tell *made*.

        *key* is where *stored* lies; its form is kept there for the next who asks.
        """
        wanted = choice(route, head)
        coding = Coding.GZIP if wanted.coding is None else wanted.coding
        what = (key, id(stored.body), "" if wanted.coding is None else coding.value)
        waiting = self._waiting.get(what)
        if waiting is not None:
            waiting[1].append(made)
            return
        if self.jobs >= _WAITING_JOBS:
            made(None)
            return
        # The response is held here so that its body's id stays its own.
        self._waiting[what] = (stored, [made])
        limit = self._memory.max_object_bytes
        pad = padding(route, head)

        def work() -> tuple[Form, float]:
            began = time.thread_time()
            body = stored.body
            encoded = stored.fields.get(b"content-encoding")
            if encoded is not None:
                body = encoders.decode(encoded, body, limit)
                if wanted.coding is None:
                    form = encoders.formed(coding, body, len(body))
                    return replace(form, coding=_PLAIN), time.thread_time() - began
            form = encoders.form(coding, body, pad=pad)
            return form, time.thread_time() - began

        def done(found: tuple[Form, float] | None) -> None:
            _, callers = self._waiting.pop(what)
            form = None
            if found is not None:
                form, seconds = found
                level = encoders.level(coding, best=False)
                self._counters.encoded(
                    (route.name, form.coding, level), form.plain_bytes, len(form.body), seconds
                )
                self.keep(key, stored.body, form)
            for each in callers:
                each(form)

        self.run(work, done)

    def form(
        self, coding: Coding, body: bytes, route: Route, head: RequestHead, made: Made
    ) -> None:
        """Tell *made* the form of *body*, which is for *head* alone."""
        pad = padding(route, head)

        def work() -> tuple[Form, float]:
            began = time.thread_time()
            return encoders.form(coding, body, pad=pad), time.thread_time() - began

        def done(found: tuple[Form, float] | None) -> None:
            if found is None:
                made(None)
                return
            form, seconds = found
            level = encoders.level(coding, best=False)
            labels = (route.name, coding.value, level)
            self._counters.encoded(labels, len(body), len(form.body), seconds)
            made(form)

        if len(body) <= INLINE_BYTES:
            done(work())
        elif self.jobs >= _WAITING_JOBS:
            made(None)
        else:
            self.run(work, done)

    def keep(self, key: bytes, body: bytes, form: Form) -> bool:
        """Put *form* beside *body*, if that still lies under *key*; False when it doesn't."""
        shelf = self._memory.peek(key)
        if shelf is None or not any(each.body is body for each in shelf.variants):
            return False
        variants = [with_form(each, form) if each.body is body else each for each in shelf.variants]
        weight = sum(each.weight for each in variants)
        if weight + SHELF_BYTES + len(key) > self._memory.max_object_bytes:
            # Better large and at hand than small and gone.
            return False
        if not self._memory.keep(key, variants):
            return False
        self.kept(key, variants)
        return True

    def _forms_elsewhere(
        self, key: bytes, stored: StoredResponse, rules: CacheRules
    ) -> tuple[Form, ...]:
        """Return the forms that another worker has put beside *stored* in the tier they share."""
        for each in self.elsewhere(key, rules):
            came = each.arrival.response_time
            if each.nominated == stored.nominated and came == stored.arrival.response_time:
                return each.forms
        return ()

    def run(self, work: Callable[[], object], done: Callable[..., None]) -> None:
        """Let a thread do *work*; *done* gets what it returns, None when it failed."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "encode")
        self._submit(self._threads, work, done)

    def _submit(
        self, pool: ThreadPoolExecutor, work: Callable[[], object], done: Callable[..., None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.jobs += 1

        def finished(found: object) -> None:
            self.jobs -= 1
            done(found)

        def outside() -> None:
            try:
                found = work()
            except (encoders.NotDecodable, MemoryError):
                found = None
            except Exception:
                _log.exception("a body could not be encoded")
                found = None
            try:
                loop.call_soon_threadsafe(finished, found)
            except RuntimeError:
                # The loop has closed: nobody waits any more.
                return

        pool.submit(outside)

    # Popular forms are made again, smaller.

    def observe(self, entries: Iterable[RepeatedHead]) -> None:
        """Count the hits of the last second."""
        self._saved_up = min(_MOST_SAVED_UP, self._saved_up + _BUDGET)
        for entry in entries:
            if entry.hits and entry.stored.coding:
                at = (entry.shelf.key, entry.stored.coding)
                self._hits[at] = self._hits.get(at, 0) + entry.hits
        if len(self._hits) > _REMEMBERED_HITS:
            hottest = sorted(self._hits.items(), key=lambda item: -item[1])
            self._hits = dict(hottest[: _REMEMBERED_HITS // 2])

    def improve(self, after: Callable[[str], int | None]) -> None:
        """Encode one popular form again, if the budget allows; *after* knows routes' rules.

        It is given a route's name and returns how many hits make a form popular; None: never.
        """
        if self._busy_again or self._saved_up <= 0 or not self._hits:
            return
        for at in sorted(self._hits, key=lambda each: -self._hits[each])[:32]:
            key, coding = at
            shelf = self._memory.peek(key)
            found = None if shelf is None else improvable(shelf, coding)
            if found is None:
                del self._hits[at]
                continue
            stored, form = found
            threshold = after(stored.filed.route)
            if threshold is None:
                del self._hits[at]
            elif self._hits[at] >= threshold:
                del self._hits[at]
                self._again(key, stored, form)
                return

    def _again(self, key: bytes, stored: StoredResponse, form: Form) -> None:
        self._busy_again = True
        coding = Coding(form.coding)

        def work() -> tuple[Form, float]:
            began = time.thread_time()
            best = encoders.form(coding, stored.body, best=True)
            return best, time.thread_time() - began

        def done(found: tuple[Form, float] | None) -> None:
            self._busy_again = False
            if found is None:
                return
            best, seconds = found
            self._saved_up -= seconds
            self._counters.encoded(
                (stored.filed.route, coding.value, encoders.level(coding, best=True)),
                best.plain_bytes,
                len(best.body),
                seconds,
            )
            smaller = best if len(best.body) < len(form.body) else replace(form, best=True)
            self.keep(key, stored.body, smaller)

        if self._spare is None:
            self._spare = ThreadPoolExecutor(1, "encode-again")
        self._submit(self._spare, work, done)

    def close(self) -> None:
        """Begin nothing more; what threads still do is for nobody."""
        self._renditions.close()
        for pool in (self._threads, self._spare):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)


_PLAIN = "identity"
"""The name of the form that is a body less the coding it came in."""


def _of_encoded(stored: StoredResponse, wanted: Choice, encoded: bytes) -> StoredResponse | None:
    """Return what a client gets of a response that came encoded; None when it must be made."""
    name = encoded.strip().lower()
    if (wanted.coding is not None and wanted.coding.encode() == name) or (
        negotiation.forbids_transforming(stored.fields) or len(stored.body) == 0
    ):
        return negotiation.plain(stored)
    coding = _PLAIN if wanted.coding is None else wanted.coding.value
    for form in stored.forms:
        if form.coding == coding:
            plain = negotiation.plain(negotiation.decoded(stored, form.body))
            if wanted.coding is None:
                return plain
            return negotiation.represented(plain, wanted.coding, form)
    return None


def readable(response: StoredResponse | ResponseHead, route: Route, head: RequestHead) -> bool:
    """Return whether a client takes *response* in the coding that it came in."""
    encoded = response.fields.get(b"content-encoding")
    if route.compression is None or encoded is None:
        return True
    name = encoded.strip().lower()
    wanted = choice(route, head).coding
    return (
        name in (b"", b"identity")
        or (wanted is not None and wanted.encode() == name)
        or response.status in (204, 206, 304)
        or negotiation.forbids_transforming(response.fields)
    )


def varied(fields: Fields, response: ResponseHead, rules: Compression) -> Fields:
    """Return *fields*, which say so where another client would get another coding."""
    if negotiation.suits(response.status, response.fields, rules):
        return negotiation.with_vary(fields)
    return fields
