"""Groups of stored responses that are invalidated together (RFC 9875).

A response says which groups it is in: by Cache-Groups, or by the two fields that caches read
before there was a standard. Names are compared byte for byte, and mean something only within
one origin: whoever files or invalidates by them keeps origins apart.
"""

from typing import Final

from gateway.policy import lists, structured
from gateway.policy.invalidation import is_safe
from gateway.wire.fields import Fields
from gateway.wire.message import RequestHead, ResponseHead

MOST_GROUPS: Final = 128
"""RFC 9875 asks for 32 at least; what comes after is not remembered."""
LONGEST_GROUP: Final = 256
"""Bytes; RFC 9875 asks for 32 at least. A longer name would name nothing."""


def carried(fields: Fields) -> tuple[bytes, ...]:
    """Return the groups that a response with these fields is in, each once, in order.

    Cache-Groups is a List of Strings, and valid as a whole or not there at all; Surrogate-Key
    is separated by spaces, Cache-Tag by commas.
    """
    index = fields.index()
    found: list[bytes] = []
    if b"cache-groups" in index:
        found += _strings(index[b"cache-groups"])
    if b"surrogate-key" in index:
        # Lines of one name were joined by a comma, which no key holds.
        for value in fields.every(b"surrogate-key"):
            found += value.split()
    if b"cache-tag" in index:
        found += lists.split(index[b"cache-tag"])
    return _bounded(found)


def invalidated(request: RequestHead, response: ResponseHead) -> tuple[bytes, ...]:
    """Return the groups whose responses must not be used again without validation.

    Only the answer to an unsafe request says so (section 3): a page can be made to send any
    safe one. Unlike what a write makes wrong by itself, it is the origin's explicit word,
    and counts whatever the status.
    """
    value = response.fields.get(b"cache-group-invalidation")
    if value is None or is_safe(request.method):
        return ()
    return _bounded(_strings(value))


def _strings(value: bytes) -> list[bytes]:
    """Return the members of a List of Strings; none where it is something else."""
    members = structured.parse_list(value)
    if members is None or not all(isinstance(member, bytes) for member in members):
        return []
    return [member for member in members if isinstance(member, bytes)]


def _bounded(found: list[bytes]) -> tuple[bytes, ...]:
    names = dict.fromkeys(name for name in found if 0 < len(name) <= LONGEST_GROUP)
    return tuple(names)[:MOST_GROUPS]
