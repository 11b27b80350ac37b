"""Tests of single values, as rules write them: ``eu``, ``eu-*``, ``present``, ``absent``.

A star stands for any characters, also for none; everything else is literal, and case matters.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

PRESENT: Final = "present"
ABSENT: Final = "absent"


@dataclass(frozen=True, slots=True)
class ValueTest:
    """What is asked of the values under one name; any of *patterns* is enough."""

    name: bytes
    """In lower case for a field, as it is for a cookie or a parameter."""
    patterns: tuple[str, ...]
    """Globs, `PRESENT` for any value, or `ABSENT` for none at all."""

    def holds(self, values: Iterable[bytes]) -> bool:
        """Return whether one of *values*, all that were sent under the name, is fit."""
        found = tuple(values)
        if not found:
            return ABSENT in self.patterns
        if PRESENT in self.patterns:
            return True
        return any(
            _matcher(pattern).fullmatch(value) is not None
            for pattern in self.patterns
            if pattern != ABSENT
            for value in found
        )

    def implied_by(self, other: "ValueTest") -> bool:
        """Return whether what *other* lets through passes here too, as far as is plain.

        A pattern counts as contained in another only when it is the same, or when the other
        takes every value.
        """
        if self.name != other.name:
            return False
        mine = set(self.patterns)
        if mine & {PRESENT, "*"}:
            return ABSENT in mine or ABSENT not in other.patterns
        return set(other.patterns) <= mine

    def __str__(self) -> str:
        return f"{self.name.decode('latin-1')}: {' or '.join(self.patterns)}"


@lru_cache(maxsize=4096)
def _matcher(pattern: str) -> re.Pattern[bytes]:
    first, *rest = (re.escape(part.encode()) for part in pattern.split("*"))
    if not rest:
        return re.compile(first)
    *middle, last = rest
    # Atomic, as in `glob.segment_matcher`: no value is slow to match.
    found = b"".join(b"(?>.*?%b)" % part for part in middle)
    return re.compile(b"%b%b.*%b" % (first, found, last), re.DOTALL)
