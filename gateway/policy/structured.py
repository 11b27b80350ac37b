"""Dictionaries and Lists of Structured Fields (RFC 9651), as far as a cache reads them.

Exact about what is valid, since a field that fails to parse is ignored as a whole. Parameters
are checked and dropped; inner lists and types that no cache directive has are checked and
kept as `OTHER`.
"""

import re
from enum import Enum, auto
from typing import Final, TypeAlias


class Kind(Enum):
    """A value whose type is known and whose content is no cache's business."""

    OTHER = auto()


OTHER: Final = Kind.OTHER
Value: TypeAlias = bool | int | bytes | Kind
"""A Boolean, an Integer, the text of a String, or something else."""
Dictionary: TypeAlias = dict[bytes, Value]

_KEY = re.compile(rb"[a-z*][a-z0-9_.*-]*")
_INTEGER = re.compile(rb"-?[0-9]{1,15}(?![0-9.])")
_STRING = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BOOLEAN = re.compile(rb"\?[01]")
_OTHER = re.compile(
    rb"-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9])"  # a Decimal
    rb"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*"  # a Token
    rb"|:[A-Za-z0-9+/=]*:"  # a Byte Sequence
    rb"|@-?[0-9]{1,15}(?![0-9.])"  # a Date
    rb'|%"(?:[ !#-$&-~]|%[0-9a-f]{2})*"'  # a Display String
)
_ESCAPED = re.compile(rb"\\(.)")
_SPACES = re.compile(rb" *")
_OWS = re.compile(rb"[ \t]*")


class _Malformed(Exception):
    """The field fails to parse."""


def parse_dictionary(value: bytes) -> Dictionary | None:
    """Return the members of a Dictionary; None when it fails to parse (section 4.2.2)."""
    try:
        return _dictionary(value.strip(b" "))
    except _Malformed:
        return None


def parse_list(value: bytes) -> list[Value] | None:
    """Return the members of a List; None when it fails to parse (section 4.2.1)."""
    try:
        return _list(value.strip(b" "))
    except _Malformed:
        return None


def string(text: str) -> bytes:
    """Return *text* as a String (section 4.1.6); what a String can't hold becomes ``?``."""
    shown = "".join(each if " " <= each <= "~" else "?" for each in text)
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode("ascii")


def _list(value: bytes) -> list[Value]:
    members: list[Value] = []
    position = 0
    while position < len(value):
        member, position = _member(value, position)
        members.append(member)
        position = _after_member(value, _parameters(value, position))
    return members


def _dictionary(value: bytes) -> Dictionary:
    members: Dictionary = {}
    position = 0
    while position < len(value):
        key, position = _key(value, position)
        member: Value = True
        if value[position : position + 1] == b"=":
            member, position = _member(value, position + 1)
        members[key] = member
        position = _after_member(value, _parameters(value, position))
    return members


def _after_member(value: bytes, position: int) -> int:
    """Return where the next member begins after one that ended at *position*."""
    position = _end(_OWS, value, position)
    if position == len(value):
        return position
    if value[position : position + 1] != b",":
        raise _Malformed
    position = _end(_OWS, value, position + 1)
    if position == len(value):
        raise _Malformed  # a comma with nothing after it
    return position


def _end(pattern: re.Pattern[bytes], value: bytes, position: int) -> int:
    match = pattern.match(value, position)
    return position if match is None else match.end()


def _key(value: bytes, position: int) -> tuple[bytes, int]:
    match = _KEY.match(value, position)
    if match is None:
        raise _Malformed
    return match[0], match.end()


def _member(value: bytes, position: int) -> tuple[Value, int]:
    if value[position : position + 1] == b"(":
        return OTHER, _inner_list(value, position + 1)
    return _bare_item(value, position)


def _inner_list(value: bytes, position: int) -> int:
    """Return where the inner list that opened before *position* ends."""
    while True:
        position = _end(_SPACES, value, position)
        if value[position : position + 1] == b")":
            return position + 1
        _, position = _bare_item(value, position)
        position = _parameters(value, position)
        if value[position : position + 1] not in (b" ", b")"):
            raise _Malformed


def _bare_item(value: bytes, position: int) -> tuple[Value, int]:
    if match := _INTEGER.match(value, position):
        return int(match[0]), match.end()
    if match := _STRING.match(value, position):
        return _ESCAPED.sub(rb"\1", match[1]), match.end()
    if match := _BOOLEAN.match(value, position):
        return match[0] == b"?1", match.end()
    if match := _OTHER.match(value, position):
        return OTHER, match.end()
    raise _Malformed


def _parameters(value: bytes, position: int) -> int:
    """Return where the parameters that may begin at *position* end."""
    while value[position : position + 1] == b";":
        position = _end(_SPACES, value, position + 1)
        _, position = _key(value, position)
        if value[position : position + 1] == b"=":
            _, position = _bare_item(value, position + 1)
    return position
