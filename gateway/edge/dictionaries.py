"""The dictionaries of one worker, and what is encoded with them (RFC 9842).

What was sent as a dictionary is remembered by its digest, in as many bytes as a release's
scripts take, and lies in the local tier as well, for other workers and for after a restart:
nobody asks again for the last release of a file. Encoding with one is done in a thread, as
small as can be, while whoever asks first gets another coding; the result is kept beside the
others.
"""

import hashlib
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gateway.counters import Counters
from gateway.edge import encoders, forms
from gateway.edge.dictionary_codings import ENCODERS
from gateway.policy import dictionaries as policy
from gateway.policy.rules import CacheRules
from gateway.policy.stored import Form, StoredResponse
from gateway.routing.route import Route
from gateway.wire.message import RequestHead

_MOST: Final = 512
_MOST_BYTES: Final = 32 * 1024 * 1024
_LARGEST: Final = 2 * 1024 * 1024
"""Bytes of a file that is a dictionary, or is encoded with one."""

Run = Callable[[Callable[[], object], Callable[..., None]], None]
Keep = Callable[[bytes, bytes, Form], bool]


class Dictionaries:
    """Files that were sent as dictionaries, by digest."""

    def __init__(self, run: Run, keep: Keep, counters: Counters) -> None:
        self._run = run
        self._keep = keep
        self._counters = counters
        self._known: OrderedDict[bytes, bytes] = OrderedDict()
        self._known_bytes = 0
        self._seen: OrderedDict[bytes, bytes] = OrderedDict()
        """Bodies as they are stored, by key: what is known already isn't digested again."""
        self._making: set[tuple[bytes, str]] = set()
        self._fetching: set[bytes] = set()
        self.kept: forms.Kept = forms.nowhere
        self.elsewhere: forms.Elsewhere = forms.nothing

    def known(self, name: str, rules: CacheRules) -> str | None:
        """Return *name*, which a client asked for, if its dictionary is known; None otherwise.

        Clients may name as many as they like, so nothing is kept by those that aren't.
        """
        _, digest = policy.parsed(name)
        if digest in self._known:
            return name
        if digest not in self._fetching:
            found = self.elsewhere(_key(digest), rules)
            if found:
                self._fetch(digest, found[0])
        return None

    def applied(
        self,
        key: bytes,
        stored: StoredResponse,
        usual: StoredResponse,
        route: Route,
        head: RequestHead,
        name: str | None,
    ) -> StoredResponse:
        """Return *usual*, the form of *stored* that *head* would get, or *name*, which is smaller.

        Either says that it is a dictionary, if it can be one. *name* is what `known` returned.
        """
        match = policy.pattern(head.target.path)
        if (
            match is None
            or not policy.suits(stored.status, stored.fields)
            or len(stored.body) > _LARGEST
        ):
            return usual
        self._learn(key, stored, route.cache)
        if name is not None:
            form = next((each for each in stored.forms if each.coding == name), None)
            if form is None:
                self._make(key, stored, route, name)
            elif form.body and len(form.body) < len(usual.body):
                usual = replace(
                    stored,
                    fields=policy.represented(stored, form),
                    body=form.body,
                    coding=name,
                    forms=(),
                )
        return replace(usual, fields=policy.offered(usual, match))

    def _learn(self, key: bytes, stored: StoredResponse, rules: CacheRules) -> None:
        body = stored.body
        if self._seen.get(key) is body:
            return
        self._seen[key] = body
        if len(self._seen) > _MOST:
            self._seen.popitem(last=False)

        def work() -> tuple[bytes, bytes]:
            plain = _plain(stored)
            return hashlib.sha256(plain).digest(), plain

        def done(found: tuple[bytes, bytes] | None) -> None:
            if found is None:
                return
            digest, plain = found
            self._remember(digest, plain)
            if not self.elsewhere(_key(digest), rules):
                self.kept(_key(digest), [replace(stored, forms=())])

        self._run(work, done)

    def _fetch(self, digest: bytes, stored: StoredResponse) -> None:
        self._fetching.add(digest)

        def work() -> bytes:
            return _plain(stored)

        def done(plain: bytes | None) -> None:
            self._fetching.discard(digest)
            if plain is not None:
                self._remember(digest, plain)

        self._run(work, done)

    def _remember(self, digest: bytes, plain: bytes) -> None:
        if digest in self._known:
            return
        self._known[digest] = plain
        self._known_bytes += len(plain)
        while len(self._known) > _MOST or self._known_bytes > _MOST_BYTES:
            _, oldest = self._known.popitem(last=False)
            self._known_bytes -= len(oldest)

    def _make(self, key: bytes, stored: StoredResponse, route: Route, name: str) -> None:
        coding, digest = policy.parsed(name)
        encode, level = ENCODERS[coding]
        dictionary = self._known.get(digest)
        what = (key, name)
        if dictionary is None or what in self._making:
            return
        self._known.move_to_end(digest)
        self._making.add(what)

        def work() -> tuple[Form, float]:
            began = time.thread_time()
            plain = _plain(stored)
            body = encode(plain, dictionary, digest)
            form = Form(name, body, len(plain), b"%08x" % zlib.crc32(body), best=True)
            return form, time.thread_time() - began

        def done(found: tuple[Form, float] | None) -> None:
            self._making.discard(what)
            if found is None:
                return
            form, seconds = found
            labels = (route.name, coding, level)
            self._counters.encoded(labels, form.plain_bytes, len(form.body), seconds)
            self._keep(key, stored.body, form)

        self._run(work, done)


def _key(digest: bytes) -> bytes:
    """Return what a dictionary lies under in the tiers; no request's key begins like it."""
    return b"dictionary " + digest


def _plain(stored: StoredResponse) -> bytes:
    encoded = stored.fields.get(b"content-encoding")
    return stored.body if encoded is None else encoders.decode(encoded, stored.body, _LARGEST)
