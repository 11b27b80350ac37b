"""What the access log tells beside the bare request: enough to replay it under other rules.

Who asked, as far as the cache tells people apart; what told variants apart; and what the
origin said about keeping its answer. No credential is among it: a session is a digest of a
digest, and of Set-Cookie stands only that there was one.
"""

from hashlib import blake2b
from typing import Final

from gateway.edge.asked import Asking, Cacheable
from gateway.edge.interfaces import Context
from gateway.edge.site import Site
from gateway.policy import key as keys
from gateway.policy import vary
from gateway.routing.identity import ANONYMOUS
from gateway.wire.fields import Fields
from gateway.wire.message import RequestHead, ResponseHead

TOLD: Final = (
    b"age",
    b"cache-control",
    b"cache-group-invalidation",
    b"cache-groups",
    b"cache-tag",
    b"cdn-cache-control",
    b"content-location",
    b"etag",
    b"expires",
    b"last-modified",
    b"location",
    b"pragma",
    b"set-cookie",
    b"surrogate-key",
    b"vary",
)
"""The fields of an origin's answer that decide whether and how long it is kept."""
_SECRET: Final = frozenset({b"set-cookie"})
_LONGEST: Final = 512
"""Bytes of a value that are logged."""
_DIGEST_BYTES: Final = 6


def context(
    site: Site,
    head: RequestHead,
    asked: Asking | None,
    answer: ResponseHead | None = None,
    origin_bytes: int = 0,
) -> Context:
    """Return what the log tells about *head*, which came to *asked*.

    *answer* is the origin's head; None when there is none.
    """
    index = head.fields.index()
    cookie = index.get(b"cookie")
    who = ANONYMOUS if cookie is None else site.snapshot.identity.identify(cookie, site.clock())
    control = index.get(b"cache-control") or index.get(b"pragma") or b""
    return Context(
        user="" if who.user is None else _digest(who.user),
        org="" if who.org is None else _shown(who.org),
        asked=_shown(control),
        variant=_variant(site, head, asked),
        origin_status=0 if answer is None else answer.status,
        origin=None if answer is None else _said(answer.fields),
        origin_bytes=origin_bytes,
    )


def _variant(site: Site, head: RequestHead, asked: Asking | None) -> str:
    if not isinstance(asked, Cacheable):
        return ""
    rules = asked.route.cache
    apart = keys.narrowed(b"", head.fields, rules)
    shelf = site.memory.peek(asked.key)
    if shelf is not None:
        for stored in shelf.variants:
            if stored.nominated and vary.matches(stored, head.fields):
                apart += repr(stored.nominated).encode()
                break
    return _digest(apart) if apart else ""


def _said(fields: Fields) -> dict[str, str]:
    index = fields.index()
    return {
        name.decode("ascii"): "-" if name in _SECRET else _shown(index[name])
        for name in TOLD
        if name in index
    }


def _digest(value: bytes) -> str:
    return blake2b(value, digest_size=_DIGEST_BYTES).hexdigest()


def _shown(value: bytes) -> str:
    return value[:_LONGEST].decode("ascii", "backslashreplace")
