"""What the hub tells caches: how long an answer is fresh, for whom, and what it was read from.

An answer that belongs to an organization or a user carries ``s-maxage`` without
``private``, so that a gateway which files it under a verified identity may keep it.  That
is safe only if the gateway's idea of the identity and ours agree, so it is withheld unless
the request carried the proof itself (see ``identity.py``).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Freshness:
    """One ``Cache-Control`` for answers that may be kept; seconds."""

    cache_control: str
    lifetime: int


def _shared(lifetime: int, grace: int, prefix: str = "") -> Freshness:
    return Freshness(f"{prefix}s-maxage={lifetime}, stale-while-revalidate={grace}", lifetime)


LISTS = _shared(60, 300)
REPORTS = _shared(300, 300)
PAGES = _shared(3600, 86400, "public, ")
DOCS = _shared(1800, 86400, "public, ")
KEYS = _shared(300, 3600, "public, ")
STATIC = Freshness("public, max-age=31536000, immutable", 31536000)

NEVER = "private, no-cache, no-store, must-revalidate"
NO_STORE = "no-store"
"""On errors, and on answers that only the one who asked may have."""

_NEVER_UNDER = (
    "/api/health",
    "/api/auth",
    "/api/stripe",
    "/api/events",
    "/api/ws",
    "/dashboard",
    "/login",
)


def never_cached(path: str) -> bool:
    """Tell whether *path* lies where nothing may ever be kept."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in _NEVER_UNDER)


def groups_field(groups: Iterable[str]) -> str:
    """Return *groups* as a list of strings (RFC 9875 section 2, RFC 9651 section 3.1)."""
    escaped = (group.replace("\\", "\\\\").replace('"', '\\"') for group in groups)
    return ", ".join(f'"{group}"' for group in escaped)


def cacheable(
    request: web.Request,
    body: bytes,
    content_type: str,
    *,
    freshness: Freshness | None,
    groups: Iterable[str] = (),
) -> web.Response:
    """Return *body* with its validator, or 304 when the client has it already.

    *freshness* None forbids every cache to keep the answer.
    """
    etag = hashlib.blake2b(body, digest_size=12).hexdigest()
    headers = {
        "Cache-Control": NO_STORE if freshness is None else freshness.cache_control,
        "ETag": f'"{etag}"',
    }
    if field := groups_field(groups):
        headers["Cache-Groups"] = field
    if known_to_client(request, etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers | {"Content-Type": content_type})


def known_to_client(request: web.Request, etag: str) -> bool:
    """Evaluate If-None-Match by weak comparison (RFC 9110 section 13.1.2)."""
    try:
        wanted = request.if_none_match
    except ValueError:
        return False
    return any(tag.value in {etag, "*"} for tag in wanted or ())
