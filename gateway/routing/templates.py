"""Names of groups that a route's responses are in, filled per request.

``org:{org}`` with the organisation that was proven, ``user:{user}`` with the user's digest,
``{route}`` with the route's name, ``{path}`` and ``{host}`` with what was asked for. A
template whose field isn't known for a request names no group.
"""

import re
from collections.abc import Iterable
from typing import Final

from gateway.routing.identity import Identity

FIELDS: Final = frozenset({"org", "user", "route", "path", "host"})
_FIELD = re.compile(r"\{([^{}]*)\}")


def fields_of(template: str) -> list[str]:
    """Return the fields that *template* names, known or not."""
    return _FIELD.findall(template)


def groups(
    templates: Iterable[str], identity: Identity, route: str, host: bytes, path: bytes
) -> tuple[bytes, ...]:
    """Return the groups of a response, each once, in the order of *templates*."""
    known = {
        "org": identity.org,
        "user": identity.user,
        "route": route.encode("utf-8"),
        "host": host,
        "path": path,
    }
    found: dict[bytes, None] = {}
    for template in templates:
        if all(known.get(field) is not None for field in fields_of(template)):
            pieces = _FIELD.split(template)
            parts = [
                known[piece] or b"" if position % 2 else piece.encode("utf-8")
                for position, piece in enumerate(pieces)
            ]
            found[b"".join(parts)] = None
    return tuple(found)
