"""The projects of an organization."""

from http import HTTPStatus
from typing import Annotated, Literal, get_args

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from upstream import caching, queries
from upstream.answers import JSON, encode, json_body, private_json, query_values, row_id
from upstream.context import HUB
from upstream.errors import ApiError, bad_input, forbidden, not_found
from upstream.handlers import audit
from upstream.handlers.organizations import Name, slugify
from upstream.identity import Identity, require_identity
from upstream.pagination import (
    Filters,
    Instant,
    Page,
    PageRequest,
    Search,
    contains,
    fetch_page,
)
from upstream.pool import Pool

Language = Literal["TypeScript", "Python", "Go", "Rust", "Java"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
Status = Literal["active", "archived"]
Url = Annotated[str, Meta(max_length=300, pattern=r"^https?://[^\s\x00]+$(?!\n)")]


class ProjectsQuery(PageRequest, kw_only=True, frozen=True):
    """Which projects are wanted."""

    status: Status | None = None
    language: Language | None = None
    search: Search | None = None
    since: Instant | None = None
    until: Instant | None = None


class ProjectInput(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """A new project."""

    name: Name
    language: Language
    repository_url: Url | None = None


class ProjectPatch(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What to change; what isn't named stays. Only the repository may be set to null."""

    name: Name | UnsetType = UNSET
    language: Language | UnsetType = UNSET
    repository_url: Url | UnsetType | None = UNSET
    status: Status | UnsetType = UNSET


async def list_projects(request: web.Request) -> web.Response:
    """List the projects of the caller's organization, newest first."""
    identity = await require_identity(request)
    wanted = query_values(request, ProjectsQuery)
    page = await get_projects(request.app[HUB].pool, identity.org_id, wanted)
    return caching.cacheable(
        request,
        encode(page),
        JSON,
        freshness=caching.LISTS if identity.org_proven else None,
        groups=[f"org:{identity.org_id}", f"org:{identity.org_id}:projects"],
        changed=identity.org_changed_at,
    )


async def get_projects(pool: Pool, org_id: int, wanted: ProjectsQuery) -> Page:
    """Return the projects of *org_id*, newest first."""
    filters = Filters.of(
        queries.PROJECTS,
        {
            "status": wanted.status,
            "language": wanted.language,
            "search": contains(wanted.search),
            "since": wanted.since,
            "until": wanted.until,
        },
    )
    return await fetch_page(pool, queries.PROJECTS, org_id, filters, wanted)


async def read_project(request: web.Request) -> web.Response:
    """Answer with one project."""
    identity = await require_identity(request)
    row = await request.app[HUB].pool.fetchrow(
        queries.PROJECT_BY_ID, row_id(request), identity.org_id
    )
    if row is None:
        raise _no_such_project()
    return caching.cacheable(
        request,
        encode(dict(row)),
        JSON,
        freshness=caching.LISTS if identity.org_proven else None,
        groups=[f"org:{identity.org_id}", f"project:{row['id']}"],
        changed=identity.org_changed_at,
    )


async def create_project(request: web.Request) -> web.Response:
    """Create a project; its slug is made of its name and must be new."""
    wanted = await json_body(request, ProjectInput)
    identity = await _writer(request)
    slug = slugify(wanted.name)
    async with request.app[HUB].pool.transaction() as connection:
        row = await connection.fetchrow(
            queries.PROJECT_CREATE.sql,
            identity.org_id,
            slug,
            wanted.name,
            wanted.language,
            wanted.repository_url,
        )
        if row is None:
            raise ApiError(
                HTTPStatus.CONFLICT,
                "exists",
                f"there is a project called {slug} already",
                field="name",
            )
        await audit.record(connection, identity, "project.created", f"project:{row['id']}")
    return private_json(
        dict(row),
        status=HTTPStatus.CREATED,
        headers={"Location": f"/api/projects/{row['id']}"},
        invalidates=[f"org:{identity.org_id}"],
    )


async def update_project(request: web.Request) -> web.Response:
    """Change what the body names."""
    wanted = await json_body(request, ProjectPatch)
    if all(value is UNSET for value in msgspec.structs.astuple(wanted)):
        raise bad_input("name at least one field to change")
    identity = await _writer(request)
    async with request.app[HUB].pool.transaction() as connection:
        row = await connection.fetchrow(
            queries.PROJECT_UPDATE.sql,
            row_id(request),
            identity.org_id,
            _or_none(wanted.name),
            _or_none(wanted.language),
            wanted.repository_url is not UNSET,
            _or_none(wanted.repository_url),
            _or_none(wanted.status),
        )
        if row is None:
            raise _no_such_project()
        await audit.record(connection, identity, "project.updated", f"project:{row['id']}")
    return private_json(dict(row), invalidates=[f"org:{identity.org_id}", f"project:{row['id']}"])


async def _writer(request: web.Request) -> Identity:
    identity = await require_identity(request)
    if not identity.may_write:
        raise forbidden("viewers can't change projects")
    return identity


def _or_none(value: str | UnsetType | None) -> str | None:
    return None if value is UNSET else value


def _no_such_project() -> ApiError:
    return not_found("your organization has no project with this id")
