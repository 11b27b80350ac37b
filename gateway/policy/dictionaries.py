"""Files as dictionaries for those that come after them (RFC 9842).

A script of the next release is mostly what the last one was. A browser that still has that
one says so, and gets the difference. Which files follow one another shows in their names:
what differs in nothing but a hash is another release of the same.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable
from typing import Final

from gateway.policy import negotiation
from gateway.policy.stored import Form, StoredResponse
from gateway.wire.fields import Fields, line

DCB: Final = "dcb"
"""The coding: brotli with a dictionary (section 4)."""
DCZ: Final = "dcz"
"""The coding: Zstandard with a dictionary (section 5)."""
_HASH: Final = re.compile(rb"(?<=[.\-_])[0-9a-f]{8,64}(?=\.)")
_PLAIN: Final = re.compile(rb"/[A-Za-z0-9/._~\-]{1,1000}")
"""Paths that mean themselves in a URL pattern."""
_DIGEST_BYTES: Final = 32


def pattern(path: bytes) -> bytes | None:
    """Return the URL pattern of all releases of the file at *path*; None where no hash shows."""
    name = path.rpartition(b"/")[2]
    found = list(_HASH.finditer(name))
    if len(found) != 1 or _PLAIN.fullmatch(path) is None:
        return None
    start = len(path) - len(name) + found[0].start()
    return path[:start] + b"*" + path[start + len(found[0][0]) :]


def available(fields: Fields, codings: Iterable[str]) -> str | None:
    """Return the name of the form that a client with *fields* can get by the dictionary it has.

    None when it has none. Available-Dictionary (section 2.2) is a byte sequence of RFC 8941, and
    means nothing to us without one of *codings* in Accept-Encoding that weighs as much as any
    other there; the first of those is taken.
    """
    written = fields.get(b"available-dictionary")
    accept = fields.get(b"accept-encoding")
    if written is None or accept is None:
        return None
    weights = negotiation.weights(accept)
    best = max(weights.values(), default=0.0)
    coding = next((each for each in codings if weights.get(each.encode()) == best), None)
    if coding is None or not best:
        return None
    text = written.strip()
    if not (len(text) > 2 and text.startswith(b":") and text.endswith(b":")):
        return None
    try:
        digest = b64decode(text[1:-1], validate=True)
    except binascii.Error:
        return None
    return f"{coding}:{digest.hex()}" if len(digest) == _DIGEST_BYTES else None


def parsed(name: str) -> tuple[str, bytes]:
    """Return the coding of the form *name*, and the SHA-256 of its dictionary."""
    coding, _, digest = name.partition(":")
    return coding, bytes.fromhex(digest)


def is_ours(name: str) -> bool:
    """Return whether *name* is that of a form which a dictionary made."""
    return name.startswith((f"{DCB}:", f"{DCZ}:"))


def suits(status: int, fields: Fields) -> bool:
    """Return whether a response of *status* with *fields* may be a dictionary, or need one."""
    kind = fields.get(b"content-type")
    return (
        status == 200
        and kind is not None
        and negotiation.listed(kind, negotiation.TYPES)
        and b"content-range" not in fields
        and not negotiation.forbids_transforming(fields)
    )


def offered(stored: StoredResponse, match: bytes) -> Fields:
    """Return the fields of *stored*, which say that it is a dictionary for what matches *match*.

    Section 2.1; the answer depends on which dictionary a client has, and says so.
    """
    fields = negotiation.with_vary(stored.fields)
    fields = negotiation.varied_by(fields, b"Available-Dictionary")
    return fields.plus(line(b"Use-As-Dictionary", b'match="%b"' % match))


def represented(stored: StoredResponse, form: Form) -> Fields:
    """Return the fields of *stored* as *form*, which a dictionary made."""
    fields = stored.fields.without(negotiation.OF_THE_BYTES)
    coding = parsed(form.coding)[0].encode()
    tag = negotiation.tag_of(fields, coding, form.mark, weak=False)
    if tag is not None:
        fields = fields.replaced(b"ETag", tag)
    ratio = negotiation.ratio(form.plain_bytes, len(form.body))
    return fields.plus(line(b"Content-Encoding", coding), line(b"X-Compression-Ratio", ratio))
