"""Parts of a stored response (RFC 9110 section 14; If-Range: section 13.1.5).

Only complete responses are stored, so every range of them can be answered. What doesn't
make sense or costs more than the whole is answered with the whole, as section 14.2 allows.
The body isn't copied: its parts are views of it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from gateway.policy.preconditions import is_strong
from gateway.policy.stored import StoredResponse
from gateway.wire import dates
from gateway.wire.fields import Fields, line

MOST_RANGES: Final = 16
"""More in one request are answered with the whole: they cost us more than the client."""

_SET: Final = re.compile(rb"bytes=(.*)", re.IGNORECASE | re.DOTALL)
_RANGE: Final = re.compile(rb"(?:([0-9]+)-([0-9]*)|-([0-9]+))")
_DIGITS_TOLD: Final = 19
"""More digits than this name a position past every body, and int() refuses thousands."""
_FAR: Final = 10**_DIGITS_TOLD

Span: TypeAlias = tuple[int, int]
"""First position and the one after the last."""
Piece: TypeAlias = bytes | memoryview


@dataclass(slots=True)
class Ranged:
    """What to send in place of the whole."""

    status: int
    """206, or 416 when no range lies within the body."""
    reason: bytes
    fields: Fields
    """Neither Content-Length nor Age is among them."""
    pieces: list[Piece]
    """The body, in order; views where they are the stored response's own bytes."""
    length: int
    """Bytes of all pieces together."""


def answer(request_fields: Fields, stored: StoredResponse, boundary: bytes) -> Ranged | None:
    """Return what a GET's Range gets of *stored*; None for the whole, as if it hadn't asked.

    Preconditions were evaluated before (section 13.2.2). *boundary* separates the parts of a
    multipart answer: a token that nobody can foresee, so that no body can contain it.
    """
    index = request_fields.index()
    asked = index.get(b"range")
    if asked is None or stored.status != 200:
        return None
    condition = index.get(b"if-range")
    if condition is not None and not _still_holds(condition, stored):
        return None
    size = len(stored.body)
    found = spans(asked, size)
    if found is None:
        return None
    if not found:
        return _unsatisfiable(stored, size)
    if len(found) == 1:
        return _single(stored, found[0], size)
    return _multiple(stored, found, size, boundary)


def spans(value: bytes, size: int) -> list[Span] | None:
    """Return the parts of a body of *size* bytes that a Range field names, in its order.

    Empty when none of them lies within the body. None when the field is to be ignored: it
    breaks the grammar, has another unit, or asks for so much that the whole is cheaper.
    """
    match = _SET.fullmatch(value)
    if match is None or size == 0:
        return None  # of nothing there are no parts; the whole says so too
    found: list[Span] = []
    items = [item.strip(b" \t") for item in match[1].split(b",")]
    items = [item for item in items if item]
    if not items or len(items) > MOST_RANGES:
        return None
    for item in items:
        parsed = _RANGE.fullmatch(item)
        if parsed is None:
            return None
        first, last, suffix = parsed.groups()
        if suffix is not None:
            length = min(_position(suffix), size)
            if length:
                found.append((size - length, size))
            continue
        start = _position(first)
        if last and _position(last) < start:
            return None
        if start < size:
            found.append((start, min(_position(last) + 1, size) if last else size))
    return None if _wasteful(found, size) else found


def _position(digits: bytes) -> int:
    significant = digits.lstrip(b"0")
    return _FAR if len(significant) >= _DIGITS_TOLD else int(significant or b"0")


def _wasteful(found: Sequence[Span], size: int) -> bool:
    """Return whether several ranges overlap or bring more than the whole (section 14.2)."""
    if len(found) < 2:
        return False
    ordered = sorted(found)
    overlapping = any(later[0] < earlier[1] for earlier, later in pairwise(ordered))
    return overlapping or sum(end - start for start, end in found) >= size


def _still_holds(condition: bytes, stored: StoredResponse) -> bool:
    """Return whether If-Range names what is stored: by a strong entity tag or an exact date.

    A Last-Modified is strong only where it is older than the Date beside it: else what
    changed twice in that second would pass for the same (section 8.8.2.2).
    """
    if condition.startswith((b'"', b"W/")):
        return is_strong(condition) and condition == stored.fields.get(b"etag")
    modified = stored.fields.get(b"last-modified")
    if modified is None or dates.parse(condition) is None:
        return False
    instant = dates.parse(modified)
    date = dates.parse(stored.fields.get(b"date") or b"")
    return (
        condition == modified and instant is not None and date is not None and date >= instant + 1
    )


_OF_THE_WHOLE: Final = frozenset({b"content-length", b"content-range"})
_WITH_416: Final = frozenset({b"cache-control", b"cdn-cache-control", b"date", b"etag", b"vary"})


def _unsatisfiable(stored: StoredResponse, size: int) -> Ranged:
    fields = Fields([item for item in stored.fields.lines if item[0] in _WITH_416])
    fields = fields.plus(line(b"Content-Range", b"bytes */%d" % size))
    return Ranged(416, b"Range Not Satisfiable", fields, [], 0)


def _content_range(span: Span, size: int) -> bytes:
    return b"bytes %d-%d/%d" % (span[0], span[1] - 1, size)


def _single(stored: StoredResponse, span: Span, size: int) -> Ranged:
    fields = stored.fields.without(_OF_THE_WHOLE)
    fields = fields.plus(line(b"Content-Range", _content_range(span, size)))
    part = memoryview(stored.body)[span[0] : span[1]]
    return Ranged(206, b"Partial Content", fields, [part], len(part))


def _multiple(
    stored: StoredResponse, found: Sequence[Span], size: int, boundary: bytes
) -> Ranged | None:
    """Return a multipart/byteranges answer (section 14.6); None when the whole is shorter."""
    body = memoryview(stored.body)
    media_type = stored.fields.get(b"content-type")
    typed = b"" if media_type is None else b"Content-Type: %b\r\n" % media_type
    pieces: list[Piece] = []
    for number, span in enumerate(found):
        pieces.append(
            b"%b--%b\r\n%bContent-Range: %b\r\n\r\n"
            % (b"\r\n" if number else b"", boundary, typed, _content_range(span, size))
        )
        pieces.append(body[span[0] : span[1]])
    pieces.append(b"\r\n--%b--\r\n" % boundary)
    length = sum(len(piece) for piece in pieces)
    if length >= size:
        return None
    fields = stored.fields.without(_OF_THE_WHOLE).replaced(
        b"Content-Type", b"multipart/byteranges; boundary=" + boundary
    )
    return Ranged(206, b"Partial Content", fields, pieces, length)
