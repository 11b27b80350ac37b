"""Which content coding a client gets (RFC 9110 section 12.5.3), and what that changes in a head.

Accept-Encoding comes in hundreds of spellings. Here each comes down to one coding, so that
what is stored under a key stays few. Encoding itself is `edge/encoders.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache
from typing import Final

from gateway.policy.directives import parse_response
from gateway.policy.stored import Form, StoredResponse
from gateway.wire.fields import Fields, elements, line


class Coding(StrEnum):
    """A content coding that we can apply, by its registered name."""

    BR = "br"
    ZSTD = "zstd"
    GZIP = "gzip"
    DEFLATE = "deflate"


TYPES: Final = (
    "text/*",
    "application/json",
    "application/*+json",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/*+xml",
    "application/manifest+json",
    "application/wasm",
    "application/x-ndjson",
    "image/svg+xml",
    "font/ttf",
    "font/otf",
)
"""Media types that get smaller when nothing else is said."""


@dataclass(frozen=True, slots=True)
class Compression:
    """What a route says about content codings."""

    codings: tuple[Coding, ...] = (Coding.BR, Coding.ZSTD, Coding.GZIP, Coding.DEFLATE)
    """Those that may be applied; of two that a client likes equally the first is taken."""
    min_bytes: int = 1024
    """Shorter bodies are left as they are; a body whose length isn't known counts as long."""
    types: tuple[str, ...] = TYPES
    """Globs of media types."""
    recompress_after: int | None = 8
    """Hits of one encoded response after which it is encoded again, as small as can be; None
    never."""
    reflecting: bool = True
    """Whether answers of user or org scope are encoded although the request has a query.

    False is the guard against BREACH: what reflects a parameter beside a secret tells by its
    length how much of the secret the parameter guessed.
    """
    dictionaries: bool = False
    """Whether files are dictionaries for their next releases (RFC 9842)."""
    padded: bool = False
    """Whether such answers get some bytes that mean nothing, so that their length tells less."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What an Accept-Encoding comes down to."""

    coding: Coding | None
    """None for the bytes as they are."""
    required: bool = False
    """Whether the client refuses the bytes as they are."""

    @property
    def normal(self) -> bytes:
        """The Accept-Encoding that stands for all that come down to this."""
        if self.coding is None:
            return b"identity"
        name = self.coding.encode()
        return name + b", identity;q=0" if self.required else name


IDENTITY: Final = Choice(None)
_MEMBER: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)
_ALIASES: Final[Mapping[bytes, bytes]] = {b"x-gzip": b"gzip"}


@lru_cache(maxsize=4096)
def choose(accept: bytes | None, codings: tuple[Coding, ...]) -> Choice:
    """Return what a client gets whose Accept-Encoding is *accept*; None when it sent none.

    The coding with the greatest weight wins, then the first of *codings*; whoever weighs
    ``identity`` above all of them gets that. A client that refuses everything gets the bytes
    as they are: section 12.5.3 allows it, and a 406 would help nobody.
    """
    weighed = weights(accept or b"")
    rest = weighed.get(b"*", 0.0)
    refused = weighed.get(b"identity", rest if b"*" in weighed else 1.0) == 0
    best: Coding | None = None
    best_weight = 0.0
    for coding in codings:
        weight = weighed.get(coding.encode(), rest)
        if weight > best_weight:
            best, best_weight = coding, weight
    if best is None or weighed.get(b"identity", 0.0) > best_weight:
        return IDENTITY
    return Choice(best, refused)


def weights(accept: bytes) -> dict[bytes, float]:
    """Return the weight of each coding that is named in the Accept-Encoding *accept*.

    Members that break the grammar count for nothing.
    """
    found: dict[bytes, float] = {}
    for element in elements(accept):
        member = _MEMBER.fullmatch(element)
        if member is not None:
            name = member[1].lower()
            name = _ALIASES.get(name, name)
            found[name] = max(found.get(name, 0.0), float(member[2] or b"1"))
    return found


def bucketed(fields: Fields, rules: Compression) -> Fields:
    """Return a request's *fields* with the Accept-Encoding that stands for its like."""
    accept = fields.get(b"accept-encoding")
    normal = choose(accept, rules.codings).normal
    return fields if accept == normal else fields.replaced(b"Accept-Encoding", normal)


@lru_cache(maxsize=256)
def _expression(types: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(each) for each in types), re.IGNORECASE)


@lru_cache(maxsize=1024)
def listed(content_type: bytes, types: tuple[str, ...]) -> bool:
    """Return whether the media type in *content_type* is one of *types*, stars being anything."""
    kind = content_type.partition(b";")[0].strip().decode("latin-1")
    return _expression(types).fullmatch(kind) is not None


def suits(status: int, fields: Fields, rules: Compression) -> bool:
    """Return whether a response of *status* with *fields* may be encoded, whatever its length.

    Not what is a part, what is encoded already, and what its origin wants left alone.
    """
    if status in (204, 206, 304) or status < 200:
        return False
    kind = fields.get(b"content-type")
    if kind is None or not listed(kind, rules.types):
        return False
    encoded = fields.get(b"content-encoding")
    if encoded is not None and encoded.strip().lower() not in (b"", b"identity"):
        return False
    return not forbids_transforming(fields) and b"content-range" not in fields


def forbids_transforming(fields: Fields) -> bool:
    """Return whether the origin wants the bytes left as they are (RFC 9111 section 5.2.2.6)."""
    control = fields.get(b"cache-control")
    if control is None or b"no-transform" not in control.lower():
        return False
    # By name and not as part of another's value.
    return any(each.split(b"=")[0].strip().lower() == b"no-transform" for each in elements(control))


def event_stream(fields: Fields) -> bool:
    """Return whether a response is a stream of events, of which each must arrive at once."""
    return (fields.get(b"content-type") or b"").startswith(b"text/event-stream")


OF_THE_BYTES: Final = frozenset(
    {b"content-encoding", b"content-length", b"content-md5", b"content-digest", b"digest",
     b"repr-digest", b"x-compression-ratio"}
)  # fmt: skip
"""Fields that tell about the bytes as they were."""


def with_vary(fields: Fields) -> Fields:
    """Return *fields* with Accept-Encoding among the names in Vary."""
    return varied_by(fields, b"Accept-Encoding")


def varied_by(fields: Fields, name: bytes) -> Fields:
    """Return *fields* with the request field *name* among the names in Vary."""
    vary = fields.get(b"vary")
    if vary is None:
        return fields.plus(line(b"Vary", name))
    names = {each.lower() for each in elements(vary)}
    if b"*" in names or name.lower() in names:
        return fields
    return fields.replaced(b"Vary", b"%b, %b" % (vary, name))


def streamed(fields: Fields, coding: Coding) -> Fields:
    """Return the *fields* of a response whose body is being encoded as it passes.

    Its entity tag is weak: nobody has seen all of the bytes yet that it would stand for.
    """
    return _encoded(fields, coding, tag_of(fields, coding.encode(), b"", weak=True))


def _encoded(fields: Fields, coding: Coding, tag: bytes | None) -> Fields:
    changed = with_vary(fields.without(OF_THE_BYTES))
    if tag is not None:
        changed = changed.replaced(b"ETag", tag)
    return changed.plus(line(b"Content-Encoding", coding.encode()))


def tag_of(fields: Fields, name: bytes, mark: bytes, *, weak: bool) -> bytes | None:
    """Return the entity tag of a response in the form *name*; None when it has none itself.

    A strong tag gets a suffix, because no two sequences of bytes may share one; *mark* tells
    those apart that several levels make of the same. A weak one may stay as it is (RFC 9110
    section 8.8.1).
    """
    etag = fields.get(b"etag")
    if etag is None or not (etag.startswith(b'"') and etag.endswith(b'"') and len(etag) > 1):
        return etag
    suffix = b"-" + name + (b"." + mark if mark else b"")
    return b'%b%b%b"' % (b"W/" if weak else b"", etag[:-1], suffix)


_MARK: Final = re.compile(rb'\.[0-9a-f]{8}"')


def same_representation(fields: Fields, ours: bytes) -> Fields:
    """Return a request's *fields* with each tag of If-None-Match that means *ours* as *ours*.

    What was sent while it was encoded, or encoded by another level, has the same content in
    the same coding, and a weak comparison is about no more than that.
    """
    listed = fields.get(b"if-none-match")
    bare = _MARK.sub(b'"', ours.removeprefix(b"W/"))
    if listed is None or bare[:-1] not in listed:
        return fields
    tags = [
        ours if _MARK.sub(b'"', tag.removeprefix(b"W/")) == bare else tag
        for tag in elements(listed)
    ]
    return fields.replaced(b"If-None-Match", b", ".join(tags))


def plain(stored: StoredResponse) -> StoredResponse:
    """Return *stored* as clients get it who take it as it is."""
    return replace(stored, fields=with_vary(stored.fields))


def encoded(fields: Fields, coding: Coding, form: Form) -> Fields:
    """Return the *fields* of a response whose body is *form*."""
    changed = _encoded(fields, coding, tag_of(fields, coding.encode(), form.mark, weak=False))
    return changed.plus(line(b"X-Compression-Ratio", ratio(form.plain_bytes, len(form.body))))


def represented(stored: StoredResponse, coding: Coding, form: Form) -> StoredResponse:
    """Return *stored* as *form*, a response in its own right with the tag of its own bytes."""
    return replace(
        stored,
        fields=encoded(stored.fields, coding, form),
        body=form.body,
        coding=coding.value,
        forms=(),
    )


def ratio(plain_bytes: int, encoded_bytes: int) -> bytes:
    """Return the share of the bytes that is saved, such as ``65%``."""
    return b"%d%%" % max(0, round(100 - 100 * encoded_bytes / max(1, plain_bytes)))


def decoded(stored: StoredResponse, body: bytes) -> StoredResponse:
    """Return what *stored* is once its coding is taken off, which leaves *body*.

    Its tag stood for the encoded bytes, so it becomes weak.
    """
    fields = stored.fields.without(OF_THE_BYTES)
    etag = fields.get(b"etag")
    if etag is not None and not etag.startswith(b"W/"):
        fields = fields.replaced(b"ETag", b"W/" + etag)
    return replace(stored, fields=fields, body=body, directives=parse_response(fields), forms=())
