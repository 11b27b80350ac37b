"""What the origins of a scenario say: a body that tells what it is, down to its last byte.

A body follows from path, identity and version alone. So a client knows every byte that it
may be sent, and an answer that is mixed, cut short or somebody else's shows.
"""

import hashlib
import mmap
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

NOBODY = "nobody"
"""Whom an origin takes for the asker of what everybody shares."""
FOLDERS = ("public", "org", "user", "off")
NUMBERS = 12
KEYS = tuple(f"/{folder}/{number}" for folder in FOLDERS for number in range(NUMBERS))
_SIZES = (150, 900, 3_000, 9_000, 20_000, 66_000, 150_000)
_LINE = re.compile(rb"key=(\S+) who=(\S+) version=([0-9]+)\n")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")


@dataclass(frozen=True, slots=True)
class Asker:
    """A person with the two cookies that prove who they are."""

    user: str
    org: str
    token: str
    """Signed: that the bearer is of *org*."""

    @property
    def cookie(self) -> str:
        return f"s={self.user}; t={self.token}"

    def known_as(self, key: str) -> str:
        """Return whose answer to *key* this person may get."""
        match key.split("/")[1]:
            case "public":
                return NOBODY
            case "org":
                return self.org
            case _:
                return self.user


@lru_cache(maxsize=2048)
def body(key: str, who: str, version: int) -> bytes:
    """Return what *key* is at *version* for *who*."""
    first = f"key={key} who={who} version={version}\n".encode()
    size = _SIZES[int(key.rpartition("/")[2]) % len(_SIZES)]
    return first + hashlib.shake_128(first).digest(size + version % 50)


def etag(who: str, version: int) -> str:
    return f'"{version}.{who}"'


def version_of(tag: str | None) -> int:
    """Return the version that the entity tag *tag* names; 0 when it names none."""
    digits = (tag or "").strip('"').partition(".")[0]
    return int(digits) if digits.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer turned out to be."""

    version: int
    """0 when that can't be told."""
    fault: str | None
    """What is wrong with it; None when it is what its asker may get."""


def read(
    key: str, asker: Asker, status: int, tag: str | None, content_range: str | None, found: bytes
) -> Reading:
    """Hold a complete answer against what *asker* may get for *key*."""
    who = asker.known_as(key)
    match status:
        case 304:
            return _tagged(tag, who)
        case 206:
            tagged = _tagged(tag, who)
            span = _CONTENT_RANGE.fullmatch(content_range or "")
            if tagged.fault is not None or span is None:
                return Reading(tagged.version, tagged.fault or "a part without Content-Range")
            first, last, size = map(int, span.groups())
            whole = body(key, who, tagged.version)
            right = size == len(whole) and found == whole[first : last + 1]
            return Reading(tagged.version, None if right else "a part of something else")
        case 200:
            return _whole(key, who, tag, found)
        case _:
            return Reading(0, f"status {status}, for which there is no reason")


def _tagged(tag: str | None, who: str) -> Reading:
    version = version_of(tag)
    right = tag is not None and tag == etag(who, version)
    return Reading(version, None if right else f"the tag {tag} of another than {who}")


def _whole(key: str, who: str, tag: str | None, found: bytes) -> Reading:
    match = _LINE.match(found)
    if match is None:
        return Reading(0, "a body that doesn't say what it is")
    said_key, said_who, version = match[1].decode(), match[2].decode(), int(match[3])
    if said_key != key:
        return Reading(version, f"the body of {said_key}")
    if said_who != who:
        return Reading(version, f"the body of {said_who}, asked for by {who}")
    if found != body(key, who, version):
        return Reading(version, "a body that is cut short or mixed")
    if tag != etag(who, version):
        return Reading(version, f"the head of {tag} with the body of version {version}")
    return Reading(version, None)


class Versions:
    """The version of each key, shared by processes through a file."""

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes((1).to_bytes(8, "little") * len(KEYS))
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 8 * len(KEYS))

    def now(self, key: str) -> int:
        at = 8 * KEYS.index(key)
        return int.from_bytes(self._map[at : at + 8], "little")

    def next(self, key: str) -> int:
        """Make *key* something new; return its version from now on. One process does this."""
        at = 8 * KEYS.index(key)
        version = self.now(key) + 1
        self._map[at : at + 8] = version.to_bytes(8, "little")
        return version

    def close(self) -> None:
        self._map.close()
