"""What was purged, and when: a purge is noted once and nothing is searched for or removed.

A stored response knows by what names it can be purged, and when it was asked for. Whatever
tier it comes from, it is judged when it is next looked at: what was asked for before one of
its names was purged isn't used as it was. So a purge of a group costs the same with ten
members and with a million, can't be half done, and holds for what is still under way.
Instants are epoch seconds.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeAlias

from gateway.policy.age import current_age
from gateway.policy.stored import StoredResponse

MOST_NAMES: Final = 65_536
"""Names remembered. When one has to be forgotten, everything counts as purged when that one
was: too much is asked for again, and never too little."""
MOST_PATTERNS: Final = 256
"""Prefixes and patterns remembered. Each is tried on a response once, when it is next used."""


class Kind(StrEnum):
    """What the value of a purge names."""

    ALL = "all"
    HOST = "host"
    ROUTE = "route"
    GROUP = "group"
    """A group of RFC 9875, a surrogate key, a cache tag, or one that the rules named."""
    URL = "url"
    """Path and query; every variant, whoever it was stored for."""
    PREFIX = "prefix"
    """Every path and query that begin so."""
    PATTERN = "pattern"
    """A glob over path and query, in which a star is any run of characters."""


class Mode(StrEnum):
    """What becomes of a response that was purged."""

    SOFT = "soft"
    """It is stale from then on: it may be sent while it is refreshed, where that is allowed."""
    VALIDATE = "validate"
    """It is validated before its next use."""
    HARD = "hard"
    """It is never used again."""


@dataclass(frozen=True, slots=True)
class Purge:
    """One purge."""

    kind: Kind
    value: bytes = b""
    host: bytes = b""
    """The only host that is meant; empty for every host."""
    mode: Mode = Mode.SOFT


_Name: TypeAlias = tuple[Kind, bytes, bytes]
_Instants: TypeAlias = tuple[float, float, float]
"""Since when what was asked for before is stale, to be validated, gone."""
_NEVER: Final[_Instants] = (0.0, 0.0, 0.0)
_PLACE: Final = {Mode.SOFT: 0, Mode.VALIDATE: 1, Mode.HARD: 2}
_PATTERNED: Final = (Kind.PREFIX, Kind.PATTERN)


class Purges:
    """The purges that one process knows of."""

    __slots__ = ("_floor", "_names", "_patterns", "serial")

    def __init__(self) -> None:
        self.serial = 0
        """Grows with each purge: what was judged under it needs no second look."""
        self._names: dict[_Name, _Instants] = {}
        self._patterns: dict[_Name, tuple[re.Pattern[bytes], _Instants]] = {}
        self._floor = _NEVER

    def apply(self, purge: Purge, at: float) -> None:
        """Purge what was asked for before *at*."""
        self.serial += 1
        if purge.kind is Kind.ALL and not purge.host:
            self._floor = _later(self._floor, purge.mode, at)
            return
        kind, value = purge.kind, purge.value
        if kind is Kind.ALL:
            kind, value = Kind.HOST, purge.host
        name = (kind, b"" if kind is Kind.HOST else purge.host, value)
        if kind in _PATTERNED:
            matcher, known = self._patterns.pop(name, (None, _NEVER))
            if matcher is None:
                matcher = _matcher(kind, value)
                if len(self._patterns) >= MOST_PATTERNS:
                    self._forget(self._patterns.pop(next(iter(self._patterns)))[1])
            self._patterns[name] = (matcher, _later(known, purge.mode, at))
            return
        before = self._names.pop(name, None)
        if before is None and len(self._names) >= MOST_NAMES:
            self._forget(self._names.pop(next(iter(self._names))))
        self._names[name] = _later(before or _NEVER, purge.mode, at)

    def _forget(self, instants: _Instants) -> None:
        soft, validate, hard = (max(pair) for pair in zip(self._floor, instants, strict=True))
        self._floor = (soft, validate, hard)

    def judge(self, stored: StoredResponse) -> StoredResponse | None:
        """Return *stored* as the purges leave it: itself where none concerns it, None for gone."""
        soft, validate, hard = self._since(stored)
        asked_at = stored.arrival.request_time
        # When it was asked for, not when it came: what was under way may have been read before.
        if asked_at < hard:
            return None
        since = max(soft, validate)
        if asked_at >= since:
            return stored
        invalid = stored.invalid or asked_at < validate
        first = min(instant for instant in (soft, validate) if instant > asked_at)
        lifetime = min(stored.lifetime, current_age(stored.arrival, first))
        if invalid == stored.invalid and lifetime == stored.lifetime:
            return stored
        return replace(stored, lifetime=lifetime, invalid=invalid)

    def _since(self, stored: StoredResponse) -> _Instants:
        soft, validate, hard = self._floor
        filed = stored.filed
        names = self._names
        if names:
            for name in _names_of(stored):
                instants = names.get(name)
                if instants is not None:
                    soft = max(soft, instants[0])
                    validate = max(validate, instants[1])
                    hard = max(hard, instants[2])
        for (_, host, _), (matcher, instants) in self._patterns.items():
            if (not host or host == filed.host) and matcher.match(filed.target):
                soft = max(soft, instants[0])
                validate = max(validate, instants[1])
                hard = max(hard, instants[2])
        return soft, validate, hard

    def history(self) -> Iterator[tuple[Purge, float]]:
        """Yield purges that, applied to nothing, make what is known here: for a successor."""
        for mode, at in zip(_PLACE, self._floor, strict=True):
            if at:
                yield Purge(Kind.ALL, mode=mode), at
        for (kind, host, value), instants in self._names.items():
            for mode, at in zip(_PLACE, instants, strict=True):
                if at:
                    yield Purge(kind, value, host, mode), at
        for (kind, host, value), (_, instants) in self._patterns.items():
            for mode, at in zip(_PLACE, instants, strict=True):
                if at:
                    yield Purge(kind, value, host, mode), at


def _names_of(stored: StoredResponse) -> Iterator[_Name]:
    filed = stored.filed
    host = filed.host
    yield (Kind.HOST, b"", host)
    yield (Kind.ROUTE, b"", filed.route.encode())
    yield (Kind.URL, host, filed.target)
    yield (Kind.URL, b"", filed.target)
    for group in (*stored.groups, *filed.labels):
        yield (Kind.GROUP, host, group)
        yield (Kind.GROUP, b"", group)


def _later(instants: _Instants, mode: Mode, at: float) -> _Instants:
    changed = list(instants)
    place = _PLACE[mode]
    changed[place] = max(changed[place], at)
    return changed[0], changed[1], changed[2]


def _matcher(kind: Kind, value: bytes) -> re.Pattern[bytes]:
    """Return what matches the targets that *value* means; in linear time, as in globs."""
    if kind is Kind.PREFIX:
        return re.compile(re.escape(value))
    first, *rest = (re.escape(part) for part in value.split(b"*"))
    if not rest:
        return re.compile(rb"%b\Z" % first)
    *middle, last = rest
    found = b"".join(b"(?>.*?%b)" % part for part in middle)
    return re.compile(rb"%b%b.*%b\Z" % (first, found, last), re.DOTALL)
