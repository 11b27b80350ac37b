"""Logging in and out, choosing an organization, and keys for machines."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta
from multidict import MultiDictProxy

from upstream import caching, passwords, queries
from upstream.answers import json_body, private_json, row_id, too_large
from upstream.context import HUB, Hub
from upstream.errors import ApiError, bad_input, forbidden, not_found
from upstream.handlers import audit
from upstream.identity import (
    ORG_COOKIE,
    SESSION_COOKIE,
    Identity,
    Proof,
    identify,
    org_claims,
    require_identity,
    single_cookie,
)
from upstream.org_token import LIFETIME, RENEW_BELOW

SESSION_LIFETIME = timedelta(days=7)
LOGIN_PAGE = "/login"
AFTER_LOGIN = "/dashboard"

_FORM_TYPE = "application/x-www-form-urlencoded"


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person logs in with."""

    email: Annotated[str, Meta(min_length=3, max_length=254)]
    password: Annotated[str, Meta(min_length=1, max_length=200)]


class SwitchInput(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The organization to act in from now on."""

    organization_id: Annotated[int, Meta(ge=1, le=2**63 - 1)]


class KeyInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new API key is called."""

    name: Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00]*$")]


async def login(request: web.Request) -> web.Response:
    """Check the password, then set the session and the organization token.

    The page's form is sent on to where it wanted to go; JSON gets the session as JSON.
    """
    if request.content_type == _FORM_TYPE:
        form = await _form(request)
        target = _own_path(str(form.get("next", "")))
        credentials = Credentials(str(form.get("email", "")), str(form.get("password", "")))
        if (token := await _start_session(request, credentials)) is None:
            return _redirect(f"{LOGIN_PAGE}?failed=1")
        response = _redirect(target)
    else:
        token = await _start_session(request, await json_body(request, Credentials))
        if token is None:
            raise ApiError(
                HTTPStatus.UNAUTHORIZED, "wrong_credentials", "the address or the password is wrong"
            )
        response = private_json(None)
    identity = await _identity_of(request, token)
    _set_cookie(request, response, SESSION_COOKIE, token, SESSION_LIFETIME.total_seconds())
    _set_org_token(request, response, identity)
    if response.status == HTTPStatus.OK:
        response.body = msgspec.json.encode(_described(identity))
    return response


async def logout(request: web.Request) -> web.Response:
    """End the session here and in the database; well also without one."""
    if token := single_cookie(request, SESSION_COOKIE):
        async with request.app[HUB].pool.transaction() as connection:
            ended = await connection.fetchrow(queries.SESSION_END.sql, passwords.hash_token(token))
            if ended is not None:
                await connection.execute(
                    queries.AUDIT.sql,
                    ended["org_id"],
                    ended["user_id"],
                    "auth.logout",
                    "INFO",
                    f"user:{ended['user_id']}",
                )
    from_page = request.content_type == _FORM_TYPE
    response = _redirect("/") if from_page else private_json({"user": None, "organization": None})
    for name in (SESSION_COOKIE, ORG_COOKIE):
        response.del_cookie(name, path="/", httponly=True, samesite="Lax")
    return response


async def session(request: web.Request) -> web.Response:
    """Say who is logged in; renew an organization token that is missing, wrong or ending."""
    identity = await identify(request)
    if identity is None:
        return private_json({"user": None, "organization": None})
    response = private_json(_described(identity))
    if identity.proof is Proof.SESSION:
        claims = org_claims(request)
        remaining = claims.expires_at - request.app[HUB].clock() if claims else 0.0
        if not identity.org_proven or remaining < RENEW_BELOW:
            _set_org_token(request, response, identity)
    return response


async def switch(request: web.Request) -> web.Response:
    """Let the session act in another organization of the same user."""
    wanted = await json_body(request, SwitchInput)
    identity = await require_identity(request)
    if identity.proof is not Proof.SESSION:
        raise forbidden("an API key belongs to one organization")
    token = single_cookie(request, SESSION_COOKIE)
    assert token is not None
    async with request.app[HUB].pool.transaction() as connection:
        moved = await connection.fetchval(
            queries.SESSION_SWITCH.sql, passwords.hash_token(token), wanted.organization_id
        )
        if moved is None:
            raise not_found("you belong to no organization with this id")
        await connection.execute(
            queries.AUDIT.sql, moved, identity.user_id, "auth.switched", "INFO", f"org:{moved}"
        )
    identity = await _identity_of(request, token)
    response = private_json(_described(identity))
    _set_org_token(request, response, identity)
    return response


async def list_keys(request: web.Request) -> web.Response:
    """List the caller's API keys in this organization; never the keys themselves."""
    identity = await require_identity(request)
    rows = await request.app[HUB].pool.fetch(
        queries.API_KEYS_OF_USER, identity.user_id, identity.org_id
    )
    return private_json({"data": [dict(row) for row in rows]})


async def create_key(request: web.Request) -> web.Response:
    """Make an API key; this answer is the only one that shows it."""
    wanted = await json_body(request, KeyInput)
    identity = await _person(request)
    key = passwords.new_api_key()
    async with request.app[HUB].pool.transaction() as connection:
        row = await connection.fetchrow(
            queries.API_KEY_CREATE.sql,
            identity.org_id,
            identity.user_id,
            wanted.name,
            key[:10],
            passwords.hash_token(key),
        )
        assert row is not None
        await audit.record(connection, identity, "api_key.created", f"api_key:{row['id']}")
    return private_json({**row, "key": key}, status=HTTPStatus.CREATED)


async def revoke_key(request: web.Request) -> web.Response:
    """Make an API key worthless."""
    identity = await _person(request)
    async with request.app[HUB].pool.transaction() as connection:
        revoked = await connection.fetchval(
            queries.API_KEY_REVOKE.sql, row_id(request), identity.user_id, identity.org_id
        )
        if revoked is None:
            raise not_found("you have no API key with this id")
        await audit.record(connection, identity, "api_key.revoked", f"api_key:{revoked}")
    return private_json({"id": revoked, "revoked": True})


async def _person(request: web.Request) -> Identity:
    identity = await require_identity(request)
    if identity.proof is not Proof.SESSION:
        raise forbidden("an API key can't manage API keys: log in")
    return identity


async def _start_session(request: web.Request, credentials: Credentials) -> str | None:
    """Return the token of a new session; None when the credentials are wrong."""
    hub = request.app[HUB]
    row = await hub.pool.fetchrow(queries.USER_BY_EMAIL, credentials.email.strip().lower())
    # As much work for an unknown address: the time taken must not tell which ones exist.
    stored = row["password_hash"] if row is not None else _nobodys_hash()
    right = await asyncio.to_thread(passwords.password_matches, credentials.password, stored)
    if row is None or not right:
        if row is not None:
            await _audit_login(hub, row["org_id"], row["id"], "auth.failed", "WARNING")
        return None
    org_id = await hub.pool.fetchval(queries.HOME_MEMBERSHIP, row["id"], row["org_id"])
    if org_id is None:
        raise forbidden("you belong to no organization any more")
    token = passwords.new_session_token()
    async with hub.pool.transaction() as connection:
        await connection.execute(
            queries.SESSION_START.sql,
            passwords.hash_token(token),
            row["id"],
            org_id,
            _printable(request.headers.get("User-Agent", ""))[:200],
            datetime.now(UTC) + SESSION_LIFETIME,
        )
        await connection.execute(
            queries.AUDIT.sql, org_id, row["id"], "auth.login", "INFO", f"user:{row['id']}"
        )
    return token


async def _form(request: web.Request) -> MultiDictProxy[str | bytes | bytearray | web.FileField]:
    try:
        return await request.post()
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large() from error
    except (ValueError, LookupError) as error:  # not UTF-8, or a charset that nobody knows
        raise bad_input(f"the form can't be read: {error}") from error


async def _audit_login(hub: Hub, org_id: int, user_id: int, action: str, severity: str) -> None:
    async with hub.pool.connection() as connection:
        await connection.execute(
            queries.AUDIT.sql, org_id, user_id, action, severity, f"user:{user_id}"
        )


async def _identity_of(request: web.Request, token: str) -> Identity:
    row = await request.app[HUB].pool.fetchrow(
        queries.IDENTITY_BY_SESSION, passwords.hash_token(token)
    )
    if row is None:  # ended in the same instant, elsewhere
        raise ApiError(HTTPStatus.UNAUTHORIZED, "login_required", "the session has ended")
    return Identity.of(row, Proof.SESSION, org_proven=True)


def _described(identity: Identity) -> dict[str, object]:
    return {
        "user": {"id": identity.user_id, "email": identity.email, "name": identity.name},
        "organization": {
            "id": identity.org_id,
            "name": identity.org_name,
            "slug": identity.org_slug,
            "role": identity.role,
        },
    }


def _set_org_token(request: web.Request, response: web.Response, identity: Identity) -> None:
    hub: Hub = request.app[HUB]
    token = hub.signer.issue(user_id=identity.user_id, org_id=identity.org_id, now=hub.clock())
    _set_cookie(request, response, ORG_COOKIE, token, LIFETIME)


def _set_cookie(
    request: web.Request, response: web.Response, name: str, value: str, max_age: float
) -> None:
    # Only what stands directly before us sets X-Forwarded-Proto; a liar locks out himself.
    secure = request.headers.get("X-Forwarded-Proto", request.scheme).lower() == "https"
    response.set_cookie(
        name, value, max_age=int(max_age), path="/", httponly=True, samesite="Lax", secure=secure
    )


def _redirect(target: str) -> web.Response:
    return web.Response(
        status=HTTPStatus.SEE_OTHER, headers={"Location": target, "Cache-Control": caching.NEVER}
    )


def _own_path(target: str) -> str:
    """Return *target* if it is a path of this site; two slashes of any kind begin a host."""
    safe = target.startswith("/") and target[1:2] not in {"/", "\\"} and target.isprintable()
    return target if safe and target.isascii() else AFTER_LOGIN


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


@cache
def _nobodys_hash() -> str:
    return passwords.hash_password(f"nobody's password {time.time()}")
