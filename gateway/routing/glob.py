"""Path globs: the patterns under ``match: path``.

``/x/*`` is ``/x`` and everything below it; a star anywhere else stands for any characters
but a slash, also for none; everything else is literal, and case matters. A glob is
normalised like the paths it is compared with, so that ``/caf%c3%a9`` and ``/café`` are one.
"""

import re
from functools import lru_cache

from gateway.errors import MalformedRequest
from gateway.wire.target import normalise_path

_TO_ESCAPE = re.compile(rb"[\x80-\xff ]")


class BadGlob(ValueError):
    """The pattern can match no path; *hint* says what was probably meant."""

    def __init__(self, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.hint = hint


@lru_cache(maxsize=4096)
def normalise(pattern: str) -> str:
    """Return *pattern* in the spelling of normalised paths; twice is the same as once.

    Raises:
        BadGlob: it doesn't begin with a slash, holds a query, or what no path may hold.

    """
    if not pattern.startswith("/"):
        raise BadGlob("a path begins with a slash", f'did you mean "/{pattern}"?')
    if "**" in pattern:
        raise BadGlob("two stars in a row mean nothing", 'a "/*" at the end takes all below')
    for mark, meaning in (("?", "query"), ("#", "fragment")):
        if mark in pattern:
            raise BadGlob(
                f"a path has no {meaning}", f'did you mean "{pattern.partition(mark)[0]}"?'
            )
    octets = _TO_ESCAPE.sub(lambda found: b"%%%02X" % found[0][0], pattern.encode())
    try:
        return normalise_path(octets).decode("ascii")
    except MalformedRequest as error:
        raise BadGlob(str(error)) from error


def split(pattern: str) -> tuple[list[bytes], bool]:
    """Return the segments of a normalised *pattern*, and whether all below matches too.

    The first segment is the empty one before the leading slash.
    """
    segments = pattern.encode("ascii").split(b"/")
    if segments[-1] == b"*":
        return segments[:-1], True
    return segments, False


def segment_matcher(segment: bytes) -> re.Pattern[bytes]:
    """Return what matches, whole, the path segments that *segment*, with a star, takes."""
    first, *middle, last = (re.escape(part) for part in segment.split(b"*"))
    # Atomic: the first place where a part fits is as good as any later one, so nothing is
    # ever tried again, and no path is slow to match.
    found = b"".join(b"(?>[^/]*?%b)" % part for part in middle)
    return re.compile(b"%b%b[^/]*%b" % (first, found, last))


def matches(pattern: str, path: bytes) -> bool:
    """Return whether the normalised *pattern* matches the normalised *path*."""
    return _matcher(pattern).fullmatch(path) is not None


@lru_cache(maxsize=4096)
def _matcher(pattern: str) -> re.Pattern[bytes]:
    segments, goes_on = split(pattern)
    parts = [
        segment_matcher(segment).pattern if b"*" in segment else re.escape(segment)
        for segment in segments
    ]
    return re.compile(b"/".join(parts) + (b"(?:/.*)?" if goes_on else b""), re.DOTALL)
