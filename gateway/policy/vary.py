"""Which requests a stored response was selected for (RFC 9111 section 4.1).

Values are compared after changes that mean nothing: lines combined, white space about commas
removed, and, where the field's own semantics say so, case, order and spelling of weights.
"""

import re
from functools import lru_cache
from typing import Final

from gateway.policy import lists
from gateway.policy.rules import CacheRules
from gateway.policy.stored import NominatedField, StoredResponse
from gateway.wire.fields import Fields, elements

_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ORDERLESS: Final = frozenset({b"accept-encoding", b"accept-language"})
"""Lists of case-insensitive ranges in which weights alone express preference."""
_EXACT: Final = frozenset(
    {b"authorization", b"cookie", b"origin", b"referer", b"user-agent", b"if-modified-since"}
)
"""Fields that are no lists: a comma in them is a character like any other."""
_WEIGHTED: Final = re.compile(
    rb"([a-z0-9*_-]+)(?:[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?", re.IGNORECASE
)
_MEMOISED_BYTES: Final = 256

MATCHES_NOTHING: Final[tuple[NominatedField, ...]] = ((b"*", b"\n"),)
"""What a stored response that came to say ``Vary: *`` nominates: no field has this value."""


def nominated(
    request_fields: Fields, response_fields: Fields, rules: CacheRules | None = None
) -> tuple[NominatedField, ...] | None:
    """Return the request fields that Vary names, as this request has them.

    None for ``Vary: *``, and for a Vary that can't be read or that *rules* don't want: then no
    later request may be answered without asking the origin.
    """
    value = response_fields.get(b"vary")
    if value is None:
        return ()
    names = dict.fromkeys(name.lower() for name in elements(value))
    if b"*" in names or not all(_TOKEN.fullmatch(name) for name in names):
        return None
    index = request_fields.index()
    if rules is None or not (rules.vary_bypass or rules.vary_exact):
        return tuple((name, _normalised(name, index.get(name))) for name in names)
    if not rules.vary_bypass.isdisjoint(names):
        return None
    exact = rules.vary_exact
    return tuple(
        (name, index.get(name) if name in exact else _normalised(name, index.get(name)))
        for name in names
    )


def matches(stored: StoredResponse, request_fields: Fields) -> bool:
    """Return whether every field that *stored* nominates is the same in a request."""
    index = request_fields.index()
    for name, value in stored.nominated:
        present = index.get(name)
        # Most often the very bytes are the same, and already normal.
        if present != value and (
            (stored.rules is not None and name in stored.rules.vary_exact)
            or _normalised(name, present) != value
        ):
            return False
    return True


def _normalised(name: bytes, value: bytes | None) -> bytes | None:
    if value is None or name in _EXACT:
        return value
    if len(value) > _MEMOISED_BYTES:
        return _normalise.__wrapped__(name, value)
    return _normalise(name, value)


@lru_cache(maxsize=1024)
def _normalise(name: bytes, value: bytes) -> bytes:
    if name in _ORDERLESS:
        weighted = _weights(value)
        if weighted is not None:
            return weighted
    return b",".join(lists.split(value))


def _weights(value: bytes) -> bytes | None:
    """Return ranges in one order and spelling; None when the value breaks its grammar.

    A range named twice may be read in two ways, and then order says which: left as it is.
    """
    ranges: dict[bytes, bytes] = {}
    for element in elements(value):
        match = _WEIGHTED.fullmatch(element)
        if match is None:
            return None
        name = match[1].lower()
        if name in ranges:
            return None
        weight = match[2] or b"1"
        if b"." in weight:
            weight = weight.rstrip(b"0").rstrip(b".")
        ranges[name] = b"" if weight == b"1" else b";q=" + weight
    return b",".join(name + ranges[name] for name in sorted(ranges))
