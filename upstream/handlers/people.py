"""Who belongs to an organization, what they did in it, and how they are logged in.

None of it is kept by anybody: it is asked for rarely, and shows people.
"""

from typing import Annotated, Literal

from aiohttp import web
from msgspec import Meta

from upstream.answers import private_json, query_values
from upstream.context import HUB
from upstream.errors import forbidden
from upstream.identity import require_identity
from upstream.pagination import (
    Filters,
    Instant,
    PageRequest,
    Search,
    contains,
    fetch_page,
)
from upstream.queries_of_people import (
    API_KEYS_OF_ORG,
    AUDIT_LOGS,
    AUDIT_OF_USER,
    MEMBERS,
    SESSIONS_OF_USER,
)

Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class MembersQuery(PageRequest, kw_only=True, frozen=True):
    """Which members are wanted."""

    status: Literal["active", "all"] = "all"
    search: Search | None = None
    since: Instant | None = None
    until: Instant | None = None


class AuditQuery(PageRequest, kw_only=True, frozen=True):
    """Which entries are wanted; *grave* are errors and what is worse."""

    user_id: Id | None = None
    action: Annotated[str, Meta(pattern=r"^[a-z_.]{1,40}$")] | None = None
    target: Annotated[str, Meta(max_length=100)] | None = None
    severity: Literal["grave", "all"] = "all"
    since: Instant | None = None
    until: Instant | None = None


async def members(request: web.Request) -> web.Response:
    """List the people whose home is the caller's organization, the newest first."""
    identity = await require_identity(request)
    wanted = query_values(request, MembersQuery)
    filters = Filters.of(
        MEMBERS,
        {
            "active": wanted.status == "active",
            "search": contains(wanted.search),
            "since": wanted.since,
            "until": wanted.until,
        },
    )
    pool = request.app[HUB].pool
    return private_json(await fetch_page(pool, MEMBERS, identity.org_id, filters, wanted))


async def audit_log(request: web.Request) -> web.Response:
    """List what was done in the caller's organization, the newest first; for its admins."""
    identity = await require_identity(request)
    if not identity.may_administer:
        raise forbidden("only owners and admins may read the audit log")
    wanted = query_values(request, AuditQuery)
    filters = Filters.of(
        AUDIT_LOGS,
        {
            "user": wanted.user_id,
            "action": wanted.action,
            "target": wanted.target,
            "grave": wanted.severity == "grave",
            "since": wanted.since,
            "until": wanted.until,
        },
    )
    pool = request.app[HUB].pool
    return private_json(await fetch_page(pool, AUDIT_LOGS, identity.org_id, filters, wanted))


async def activity(request: web.Request) -> web.Response:
    """Tell the caller about their own sessions and what they did last."""
    identity = await require_identity(request)
    pool = request.app[HUB].pool
    sessions = await pool.fetch(SESSIONS_OF_USER, identity.user_id)
    done = await pool.fetch(AUDIT_OF_USER, identity.user_id)
    keys = await pool.fetch(API_KEYS_OF_ORG, identity.org_id) if identity.may_administer else []
    return private_json(
        {
            "sessions": [dict(row) for row in sessions],
            "recent": [dict(row) for row in done],
            "apiKeysOfOrganization": [dict(row) for row in keys],
        }
    )
