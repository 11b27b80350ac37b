"""Has the client already what we would send (RFC 9110 section 13; RFC 9111 section 4.3.2)?

Asked about a stored response that may be delivered.
"""

from enum import Enum, auto
from typing import Final

from gateway.policy import lists
from gateway.policy.stored import StoredResponse
from gateway.wire import dates
from gateway.wire.fields import Fields


class Outcome(Enum):
    """What a request's preconditions say about a stored response."""

    PROCEED = auto()
    """Send it."""
    NOT_MODIFIED = auto()
    """Send 304: the client has it."""
    FAILED = auto()
    """Send 412: the client wanted another representation or none."""


def evaluate(request_fields: Fields, stored: StoredResponse) -> Outcome:
    """Return the outcome of a GET's or HEAD's preconditions, in the order of section 13.2.2.

    If-Match and If-Unmodified-Since are the origin's to evaluate, so `reuse.bypasses` sends
    such requests on, and none gets here from a client. Given all the same, they're judged by
    the letter instead of being dropped.
    """
    index = request_fields.index()
    if not 200 <= stored.status < 300:
        return Outcome.PROCEED  # section 13.2.1: only a success has preconditions
    if b"if-match" in index:
        if not _matched(index[b"if-match"], stored.fields.get(b"etag"), weakly=False):
            return Outcome.FAILED
    elif b"if-unmodified-since" in index:
        since = dates.parse(index[b"if-unmodified-since"])
        modified = last_modified(stored)
        if since is not None and modified is not None and modified > since:
            return Outcome.FAILED
    if b"if-none-match" in index:
        # If-Modified-Since isn't looked at then, matched or not.
        if _matched(index[b"if-none-match"], stored.fields.get(b"etag"), weakly=True):
            return Outcome.NOT_MODIFIED
    elif b"if-modified-since" in index and _unmodified(index[b"if-modified-since"], stored):
        return Outcome.NOT_MODIFIED
    return Outcome.PROCEED


def _matched(listed: bytes, etag: bytes | None, *, weakly: bool) -> bool:
    """Return whether a list of entity tags, or ``*``, holds *etag* (section 8.8.3.2)."""
    if listed == b"*":
        return True
    if etag is None:
        return False
    if not weakly:
        return is_strong(etag) and etag in lists.split(listed)
    opaque = opaque_tag(etag)
    return any(opaque_tag(item) == opaque for item in lists.split(listed))


def opaque_tag(etag: bytes) -> bytes:
    """Return an entity tag less its mark of weakness.

    What has no quotes is no entity tag, but still equal to itself when it comes back.
    """
    return etag.removeprefix(b"W/")


def is_strong(etag: bytes) -> bool:
    """Return whether an entity tag changes with every byte of the representation."""
    return etag.startswith(b'"') and etag.endswith(b'"') and len(etag) > 1


def last_modified(stored: StoredResponse) -> float | None:
    """Return the instant of Last-Modified; None when there is none that can be read."""
    value = stored.fields.get(b"last-modified")
    return None if value is None else dates.parse(value)


def _unmodified(since: bytes, stored: StoredResponse) -> bool:
    """Return whether what is stored isn't newer than *since*.

    RFC 9111 section 4.3.2: without a Last-Modified its Date is compared, which is the time of
    arrival when the origin sent none.
    """
    value = stored.fields.get(b"last-modified")
    if value is not None and value == since:
        return True
    instant = dates.parse(since)
    if instant is None:
        return False
    if value is None:
        return stored.arrival.date_value <= instant
    modified = dates.parse(value)
    return modified is not None and modified <= instant


_SENT_WITH_304: Final = frozenset(
    {
        b"cache-control",
        b"cdn-cache-control",
        b"content-location",
        b"date",
        b"etag",
        b"expires",
        b"vary",
    }
)


def not_modified_fields(stored: StoredResponse) -> Fields:
    """Return the fields of the 304 that stands for *stored* (RFC 9110 section 15.4.5).

    Last-Modified goes along only where no ETag does. Fields for cross-origin use do: browsers
    check them on the 304 itself.
    """
    with_date = b"etag" not in stored.fields
    return Fields(
        [
            item
            for item in stored.fields.lines
            if item[0] in _SENT_WITH_304
            or (with_date and item[0] == b"last-modified")
            or item[0].startswith(b"access-control-")
        ]
    )
