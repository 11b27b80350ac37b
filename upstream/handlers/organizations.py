"""The organizations that a user belongs to."""

import re
import secrets
from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from upstream import caching, queries
from upstream.answers import JSON, encode, json_body, private_json, query_values, row_id
from upstream.context import HUB
from upstream.errors import ApiError, forbidden, not_found
from upstream.handlers import audit
from upstream.identity import Proof, require_identity
from upstream.pagination import Filters, PageRequest, fetch_page
from upstream.queries_of_writes import ORGANIZATIONS_CHANGED

Name = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00]*\S[^\x00]*$")]


class OrganizationInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people may say about an organization."""

    name: Name


async def list_organizations(request: web.Request) -> web.Response:
    """List the caller's organizations, newest first."""
    identity = await require_identity(request)
    wanted = query_values(request, PageRequest)
    pool = request.app[HUB].pool
    # Asked for first: a change in between makes the date too old, which only costs a body.
    changed = await pool.fetchval(ORGANIZATIONS_CHANGED, identity.user_id)
    page = await fetch_page(pool, queries.ORGANIZATIONS, identity.user_id, Filters((), ()), wanted)
    return caching.cacheable(
        request,
        encode(page),
        JSON,
        freshness=caching.REPORTS if identity.user_proven else None,
        groups=[f"user:{identity.user_id}", *(f"org:{row['id']}" for row in page.data)],
        changed=changed,
    )


async def create_organization(request: web.Request) -> web.Response:
    """Create an organization that the caller owns."""
    wanted = await json_body(request, OrganizationInput)
    identity = await require_identity(request)
    if identity.proof is not Proof.SESSION:
        raise forbidden("an API key belongs to one organization: log in to create another")
    async with request.app[HUB].pool.transaction() as connection:
        row = None
        while row is None:  # until the random ending makes the slug a new one
            slug = f"{slugify(wanted.name)}-{secrets.token_hex(3)}"
            row = await connection.fetchrow(queries.ORGANIZATION_CREATE.sql, slug, wanted.name)
        await connection.execute(
            queries.MEMBERSHIP_CREATE.sql, identity.user_id, row["id"], "owner"
        )
        await audit.record(connection, identity, "organization.created", f"org:{row['id']}")
    return private_json(
        {**row, "role": "owner"},
        status=HTTPStatus.CREATED,
        headers={"Location": f"/api/organizations/{row['id']}"},
        invalidates=[f"user:{identity.user_id}"],
    )


async def read_organization(request: web.Request) -> web.Response:
    """Answer with one of the caller's organizations."""
    identity = await require_identity(request)
    pool = request.app[HUB].pool
    changed = await pool.fetchval(ORGANIZATIONS_CHANGED, identity.user_id)
    row = await pool.fetchrow(queries.ORGANIZATION_BY_ID, identity.user_id, row_id(request))
    if row is None:
        raise not_found("you belong to no organization with this id")
    return caching.cacheable(
        request,
        encode(dict(row)),
        JSON,
        freshness=caching.REPORTS if identity.user_proven else None,
        groups=[f"user:{identity.user_id}", f"org:{row['id']}"],
        changed=changed,
    )


async def rename_organization(request: web.Request) -> web.Response:
    """Rename the organization that the caller acts in."""
    wanted = await json_body(request, OrganizationInput)
    identity = await require_identity(request)
    org_id = row_id(request)
    if org_id != identity.org_id:
        raise not_found("you act in no organization with this id: switch to it first")
    if not identity.may_administer:
        raise forbidden("only owners and admins change an organization")
    async with request.app[HUB].pool.transaction() as connection:
        row = await connection.fetchrow(queries.ORGANIZATION_RENAME.sql, org_id, wanted.name)
        if row is None:
            raise ApiError(HTTPStatus.GONE, "gone", "the organization has been deleted")
        await audit.record(connection, identity, "organization.updated", f"org:{org_id}")
    return private_json(
        {**row, "role": identity.role},
        invalidates=[f"user:{identity.user_id}", f"org:{org_id}"],
    )


def slugify(name: str) -> str:
    """Return *name* as a part of an address: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "x"
