"""Comma-separated lists whose elements may hold quoted strings (RFC 9110 section 5.6)."""

import re
from typing import Final

_SPECIAL: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[,"]', re.DOTALL)


def split(value: bytes) -> list[bytes]:
    """Return the non-empty elements of a list; commas in quoted strings belong to them.

    A quote without a partner is a character like any other, so that it hides nothing of
    what follows.
    """
    found = _split(value) if b'"' in value else value.split(b",")
    return [stripped for item in found if (stripped := item.strip(b" \t"))]


def _split(value: bytes) -> list[bytes]:
    found: list[bytes] = []
    start = 0
    for match in _SPECIAL.finditer(value):
        if match[0] == b",":
            found.append(value[start : match.start()])
            start = match.end()
        elif match[0] == b'"':
            # No partner, so none for any later quote: to look again would be quadratic.
            return found + value[start:].split(b",")
    return [*found, value[start:]]
