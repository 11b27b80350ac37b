"""What the hub tells caches: how long an answer is fresh, for whom, and what it was read from.

An answer that belongs to an organization or a user carries ``s-maxage`` without
``private``, so that a gateway which files it under a verified identity may keep it.  That
is safe only if the gateway's idea of the identity and ours agree, so it is withheld unless
the request carried the proof itself (see ``identity.py``).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp import web

from upstream.context import HUB


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

SETTLED = 10.0
"""Seconds after a change in which no Last-Modified is told.  A date has no fractions, and a
write that began before ours may become visible after it, though not later than this: no
statement may take longer.  A younger date could stand for two different answers."""

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
    changed: datetime | None = None,
) -> web.Response:
    """Return *body* with its validators, or 304 when the client has it already.

    *freshness* None forbids every cache to keep the answer.  *changed* is when anything that
    it was read from last changed; None when nobody knows.
    """
    etag = hashlib.blake2b(body, digest_size=12).hexdigest()
    headers = {
        "Cache-Control": NO_STORE if freshness is None else freshness.cache_control,
        "ETag": f'"{etag}"',
    }
    if field := groups_field(groups):
        headers["Cache-Groups"] = field
    modified = _last_modified(request, changed)
    if modified is not None:
        headers["Last-Modified"] = format_datetime(modified, usegmt=True)
    if known_to_client(request, etag) or _unmodified(request, modified):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers | {"Content-Type": content_type})


def _last_modified(request: web.Request, changed: datetime | None) -> datetime | None:
    """Return what to tell as Last-Modified; None while it could mislead."""
    if changed is None:
        return None
    hub = request.app[HUB]
    # An answer has another shape after an update of the hub, though no row has changed.
    instant = max(changed.timestamp(), hub.assets.modified)
    if not 0 <= instant <= hub.clock() - SETTLED:
        return None
    return datetime.fromtimestamp(int(instant), UTC)


def _unmodified(request: web.Request, modified: datetime | None) -> bool:
    """Evaluate If-Modified-Since, which If-None-Match overrides (RFC 9110 section 13.1.3)."""
    if modified is None or "If-None-Match" in request.headers:
        return False
    since = request.if_modified_since
    return since is not None and modified <= since


def known_to_client(request: web.Request, etag: str) -> bool:
    """Evaluate If-None-Match by weak comparison (RFC 9110 section 13.1.2)."""
    try:
        wanted = request.if_none_match
    except ValueError:
        return False
    return any(tag.value in {etag, "*"} for tag in wanted or ())
