"""The dictionaries of one worker, and what is encoded with them (RFC 9842).

What was sent as a dictionary is remembered by its digest, in as many bytes as a release's
scripts take. Encoding with one is done in a thread, as small as can be, while whoever asks
first gets another coding; the result is kept beside the others.
"""

import hashlib
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gateway.counters import Counters
from gateway.edge import encoders
from gateway.edge.dictionary_codings import ENCODERS
from gateway.policy import dictionaries as policy
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

    def applied(
        self,
        key: bytes,
        stored: StoredResponse,
        usual: StoredResponse,
        route: Route,
        head: RequestHead,
    ) -> StoredResponse:
        """Return *usual*, the form of *stored* that *head* would get, or a smaller one.

        Either says that it is a dictionary, if it can be one.
        """
        match = policy.pattern(head.target.path)
        if (
            match is None
            or not policy.suits(stored.status, stored.fields)
            or len(stored.body) > _LARGEST
        ):
            return usual
        self._learn(key, stored)
        name = head.dictionary
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

    def _learn(self, key: bytes, stored: StoredResponse) -> None:
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
            if found is None or found[0] in self._known:
                return
            self._known[found[0]] = found[1]
            self._known_bytes += len(found[1])
            while len(self._known) > _MOST or self._known_bytes > _MOST_BYTES:
                _, oldest = self._known.popitem(last=False)
                self._known_bytes -= len(oldest)

        self._run(work, done)

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


def _plain(stored: StoredResponse) -> bytes:
    encoded = stored.fields.get(b"content-encoding")
    return stored.body if encoded is None else encoders.decode(encoded, stored.body, _LARGEST)
