"""Dates and locations that a test leaves to the moment (`data/SCHEMA.md`, section 4)."""

from collections.abc import Sequence
from time import gmtime, strftime

from tests.conformance.suite import Line

_DATES = frozenset({"date", "expires", "last-modified", "if-modified-since", "if-unmodified-since"})


def date(epoch_ms: float, seconds: int, *, rfc850: bool) -> str:
    """Return the HTTP date *seconds* after an instant."""
    form = "%A, %d-%b-%y %H:%M:%S GMT" if rfc850 else "%a, %d %b %Y %H:%M:%S GMT"
    return strftime(form, gmtime(epoch_ms // 1000 + seconds))


def value(line: Line, epoch_ms: float, rfc850: Sequence[str]) -> str:
    """Return what goes over the wire for *line*; *epoch_ms* is what its dates count from."""
    name, given = str(line[0]).lower(), line[1]
    if isinstance(given, int) and name in _DATES:
        return date(epoch_ms, given, rfc850=name in rfc850)
    return str(given)


def location(line: Line, base: str) -> Line:
    """Return *line* with a location completed by *base*, the request's target."""
    if str(line[0]).lower() in ("location", "content-location"):
        return [line[0], f"{base}/{line[1]}" if line[1] else base, *line[2:]]
    return line
