"""Cache directives: what Cache-Control, Pragma and CDN-Cache-Control ask for.

RFC 9111 section 5.2 leaves to the reader what malformed, repeated and conflicting
directives mean; here the most restrictive reading wins. RFC 9213 leaves nothing: a targeted
field is a Structured Field, valid as a whole or not there at all. Durations are seconds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.policy import lists, structured
from gateway.wire.fields import Fields, elements

FOREVER: Final = 2**31
"""The longest delta-seconds that is told from infinity (RFC 9111 section 1.2.2)."""

MEMOISED_BYTES: Final = 256
"""Longer values are parsed each time, so that a client can't fill memory with them."""

_NO_FIELDS: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class RequestDirectives:
    """What a client asks of caches (RFC 9111 section 5.2.1)."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: int | None = None
    """The oldest age taken; an unreadable one is 0."""
    min_fresh: int | None = None
    max_stale: int | None = None
    """How long past its lifetime a response is taken; `FOREVER` when no limit was named."""
    stale_if_error: int | None = None


@dataclass(frozen=True, slots=True)
class ResponseDirectives:
    """What an origin asks of caches (RFC 9111 section 5.2.2; RFC 5861; RFC 8246)."""

    no_store: bool = False
    no_cache: bool = False
    """The whole response; a qualified no-cache is in `no_cache_fields` instead."""
    no_cache_fields: frozenset[bytes] = _NO_FIELDS
    """Lower-case names that may not be reused without validation."""
    private: bool = False
    """The whole response; a qualified private is in `private_fields` instead."""
    private_fields: frozenset[bytes] = _NO_FIELDS
    """Lower-case names that a shared cache may not store."""
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    no_transform: bool = False
    immutable: bool = False
    max_age: int | None = None
    """None when absent; an unreadable one is 0, so that the response is stale."""
    s_maxage: int | None = None
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None
    targeted: bool = False
    """They came from CDN-Cache-Control, so neither Cache-Control nor Expires counts."""

    @property
    def withheld_fields(self) -> frozenset[bytes]:
        """The fields that aren't stored, so that the rest may be reused without validation."""
        return self.no_cache_fields | self.private_fields


NO_REQUEST_DIRECTIVES: Final = RequestDirectives()
NO_RESPONSE_DIRECTIVES: Final = ResponseDirectives()

_DURATIONS: Final = frozenset(
    {b"max-age", b"s-maxage", b"stale-while-revalidate", b"stale-if-error"}
)
_QUALIFIED: Final = frozenset({b"no-cache", b"private"})
_GRANTING: Final = frozenset({b"public", b"must-understand", b"immutable"})
"""They loosen a rule, so with an argument that nobody defined they don't count."""

_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_DIGITS = re.compile(rb"[0-9]+")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SPACE = (b" ", b"\t")
_MALFORMED = b'"'
"""An argument that means nothing to any directive."""


def _members(value: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield (lower-case name, argument or None) of each directive, quotes removed.

    White space about the equals sign breaks the grammar, and the argument isn't believed.
    """
    for member in lists.split(value):
        name, equals, argument = member.partition(b"=")
        if not equals:
            yield name.lower(), None
            continue
        if name[-1:] in _SPACE or argument[:1] in _SPACE:
            argument = _MALFORMED
        elif quoted := _QUOTED.fullmatch(argument):
            argument = _ESCAPED.sub(rb"\1", quoted[1])
        yield name.strip(b" \t").lower(), argument


def _seconds(argument: bytes | None) -> int | None:
    """Return delta-seconds, at most `FOREVER`; None when they are no such thing."""
    if argument is None or not _DIGITS.fullmatch(argument):
        return None
    significant = argument.lstrip(b"0")
    # int() refuses thousands of digits.
    return FOREVER if len(significant) > 10 else min(FOREVER, int(significant or b"0"))


def _least(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)


@lru_cache(maxsize=512)
def _request_directives(value: bytes) -> RequestDirectives:
    no_cache = no_store = only_if_cached = False
    max_age: int | None = None
    min_fresh: int | None = None
    max_stale: int | None = None
    stale_if_error: int | None = None
    for name, argument in _members(value):
        seconds = _seconds(argument)
        match name:
            case b"no-cache":
                no_cache = True
            case b"no-store":
                no_store = True
            case b"only-if-cached":
                only_if_cached = True
            case b"max-age":
                max_age = _least(max_age, seconds or 0)
            case b"min-fresh" if seconds is not None:
                min_fresh = max(min_fresh or 0, seconds)
            case b"max-stale" if seconds is not None or argument is None:
                max_stale = _least(max_stale, FOREVER if seconds is None else seconds)
            case b"stale-if-error" if seconds is not None:
                stale_if_error = _least(stale_if_error, seconds)
            case _:
                pass
    return RequestDirectives(
        no_cache, no_store, only_if_cached, max_age, min_fresh, max_stale, stale_if_error
    )


def parse_request(fields: Fields) -> RequestDirectives:
    """Return what a request's Cache-Control asks; Pragma speaks only without one (5.4)."""
    index = fields.index()
    value = index.get(b"cache-control")
    if value is None:
        pragma = index.get(b"pragma")
        if pragma is None:
            return NO_REQUEST_DIRECTIVES
        no_cache = any(name == b"no-cache" for name, _ in _members(pragma))
        return RequestDirectives(no_cache=no_cache)
    if len(value) > MEMOISED_BYTES:
        return _request_directives.__wrapped__(value)
    return _request_directives(value)


def parse_response(fields: Fields) -> ResponseDirectives:
    """Return what an origin asks of us.

    CDN-Cache-Control, when valid and not empty, speaks instead of Cache-Control and Expires
    (RFC 9213 section 2.2). Pragma means nothing in a response.
    """
    index = fields.index()
    targeted = index.get(b"cdn-cache-control")
    if targeted is not None and (dictionary := structured.parse_dictionary(targeted)):
        directives = _of_dictionary(dictionary)
        if directives is not None:
            return directives
    value = index.get(b"cache-control")
    if value is None:
        return NO_RESPONSE_DIRECTIVES
    return _build(list(_members(value)), targeted=False)


def _of_dictionary(dictionary: structured.Dictionary) -> ResponseDirectives | None:
    """Return the directives of a targeted field; None when a value has the wrong type.

    RFC 9213 section 2.1 maps directives to types: durations are Integers, lists of field
    names Strings, and the rest are true by being there. What can't be meant isn't guessed.
    """
    members: list[tuple[bytes, bytes | None]] = []
    for name, value in dictionary.items():
        if name in _DURATIONS:
            if isinstance(value, bool) or not isinstance(value, int):
                return None
            members.append((name, b"%d" % value))
        elif value is False:
            continue
        elif name in _QUALIFIED and isinstance(value, bytes):
            members.append((name, value))
        else:
            members.append((name, None))
    return _build(members, targeted=True)


def _build(members: list[tuple[bytes, bytes | None]], *, targeted: bool) -> ResponseDirectives:
    flags: set[bytes] = set()
    named: dict[bytes, frozenset[bytes]] = {}
    durations: dict[bytes, int] = {}
    for name, argument in members:
        if name in _DURATIONS:
            durations[name] = _least(durations.get(name), _seconds(argument) or 0)
        elif name in _QUALIFIED and argument is not None:
            names = frozenset(item.lower() for item in elements(argument))
            if names and all(_TOKEN.fullmatch(item) for item in names):
                named[name] = named.get(name, _NO_FIELDS) | names
            else:
                flags.add(name)  # qualified by nothing that can be a field: all of it
        elif argument is None or name not in _GRANTING:
            flags.add(name)
    return ResponseDirectives(
        no_store=b"no-store" in flags,
        no_cache=b"no-cache" in flags,
        no_cache_fields=named.get(b"no-cache", _NO_FIELDS),
        private=b"private" in flags,
        private_fields=named.get(b"private", _NO_FIELDS),
        public=b"public" in flags,
        must_revalidate=b"must-revalidate" in flags,
        proxy_revalidate=b"proxy-revalidate" in flags,
        must_understand=b"must-understand" in flags,
        no_transform=b"no-transform" in flags,
        immutable=b"immutable" in flags,
        max_age=durations.get(b"max-age"),
        s_maxage=durations.get(b"s-maxage"),
        stale_while_revalidate=durations.get(b"stale-while-revalidate"),
        stale_if_error=durations.get(b"stale-if-error"),
        targeted=targeted,
    )
