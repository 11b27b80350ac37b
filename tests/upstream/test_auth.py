"""Logging in, staying logged in, and leaving."""

from collections.abc import Awaitable, Callable

import asyncpg
import jwt
import pytest
from multidict import MultiDict

from tests.upstream.world import NEVER, Client, cookies_of, error_of, replace_cookie
from upstream import passwords
from upstream.context import Hub

LOGIN = "/api/auth/login"
ADA = {"email": "ada@acme.test", "password": "demo-password"}


async def test_a_login_sets_a_session_and_a_token_that_the_key_set_verifies(
    anyone: Client,
) -> None:
    reply = await anyone.post(LOGIN, json=ADA)

    assert reply.status == 200
    assert reply.headers["Cache-Control"] == NEVER
    assert (await reply.json())["organization"]["slug"] == "acme"
    cookies = cookies_of(anyone)
    for name in ("session_token", "org_token"):
        assert cookies[name]["httponly"]
        assert cookies[name]["samesite"] == "Lax"
        assert not cookies[name]["secure"]
    keys = await (await anyone.get("/.well-known/jwks.json")).json()
    token = cookies["org_token"].value
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["EdDSA"], issuer="hub")
    assert (claims["sub"], claims["org_id"]) == ("1", "1")
    assert claims["exp"] - claims["iat"] == 3600


async def test_behind_tls_the_cookies_are_secure(anyone: Client) -> None:
    reply = await anyone.post(LOGIN, json=ADA, headers={"X-Forwarded-Proto": "https"})

    assert all(cookie["secure"] for cookie in reply.cookies.values())


async def test_neither_the_password_nor_the_session_is_kept_in_the_database(
    ada: Client, sql: asyncpg.Connection
) -> None:
    token = cookies_of(ada)["session_token"].value

    found = await sql.fetchval(
        "SELECT count(*) FROM sessions WHERE token_hash = $1", passwords.hash_token(token)
    )
    stored = await sql.fetchval("SELECT password_hash FROM users WHERE id = 1")

    assert found == 1
    assert stored.startswith("scrypt:")
    assert "demo-password" not in stored


@pytest.mark.parametrize(
    ("email", "password"),
    [
        pytest.param("ada@acme.test", "wrong", id="password"),
        pytest.param("nobody@acme.test", "demo-password", id="address"),
        pytest.param("ada@acme.test' OR '1'='1", "demo-password", id="injection"),
    ],
)
async def test_wrong_credentials_are_answered_alike(
    anyone: Client, email: str, password: str
) -> None:
    reply = await anyone.post(LOGIN, json={"email": email, "password": password})

    assert reply.status == 401
    assert (await error_of(reply))["code"] == "wrong_credentials"
    assert not reply.cookies


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        pytest.param(b"{", "application/json", 400, id="half"),
        pytest.param(b"[]", "application/json", 400, id="array"),
        pytest.param(b'{"email":"a@b"}', "application/json", 400, id="missing"),
        pytest.param(b'{"email":"a@b","password":7}', "application/json", 400, id="type"),
        pytest.param(b'{"email":"a@b\\u0000","password":"x"}', "application/json", 400, id="nul"),
        pytest.param(b"\xff\xfe", "application/json", 400, id="bytes"),
        pytest.param(b"{}", "text/plain", 415, id="kind"),
        pytest.param(b"x" * 70_000, "application/json", 413, id="size"),
    ],
)
async def test_a_body_that_cant_be_meant_is_refused(
    anyone: Client, body: bytes, content_type: str, status: int
) -> None:
    reply = await anyone.post(LOGIN, data=body, headers={"Content-Type": content_type})

    assert reply.status == status
    assert reply.headers["Cache-Control"] == NEVER


async def test_the_form_leads_to_where_the_reader_wanted_to_go(anyone: Client) -> None:
    reply = await anyone.post(
        LOGIN, data=ADA | {"next": "/dashboard/runs?page=2"}, allow_redirects=False
    )

    assert reply.status == 303
    assert reply.headers["Location"] == "/dashboard/runs?page=2"
    assert (await anyone.get("/dashboard/runs")).status == 200


@pytest.mark.parametrize(
    "target", ["https://evil.test/", "//evil.test", "/\\evil.test", "/\r\nX: y"]
)
async def test_the_form_never_leads_to_another_site(anyone: Client, target: str) -> None:
    reply = await anyone.post(LOGIN, data=ADA | {"next": target}, allow_redirects=False)

    assert reply.headers["Location"] == "/dashboard"


async def test_a_wrong_password_in_the_form_leads_back_to_it(anyone: Client) -> None:
    reply = await anyone.post(LOGIN, data=ADA | {"password": "no"}, allow_redirects=False)

    assert reply.headers["Location"] == "/login?failed=1"
    assert "wrong" in await (await anyone.get("/login?failed=1")).text()


async def test_after_a_logout_the_old_session_opens_nothing(ada: Client, anyone: Client) -> None:
    stolen = cookies_of(ada)["session_token"].value

    reply = await ada.post("/api/auth/logout")

    assert reply.status == 200
    assert "session_token" not in cookies_of(ada)
    reply = await anyone.get("/api/projects", headers={"Cookie": f"session_token={stolen}"})
    assert reply.status == 401


async def test_the_session_tells_who_is_logged_in(ada: Client, anyone: Client) -> None:
    known = await (await ada.get("/api/auth/session")).json()
    unknown = await (await anyone.get("/api/auth/session")).json()

    assert known["user"]["email"] == "ada@acme.test"
    assert unknown == {"user": None, "organization": None}


async def test_the_session_renews_a_token_only_when_it_must(
    ada: Client, anyone: Client, hub: Hub
) -> None:
    unchanged = await ada.get("/api/auth/session")
    session = cookies_of(ada)["session_token"].value
    lost = await anyone.get("/api/auth/session", headers={"Cookie": f"session_token={session}"})
    replace_cookie(ada, "org_token", hub.signer.issue(user_id=1, org_id=1, now=hub.clock() - 3000))
    ending = await ada.get("/api/auth/session")

    assert "org_token" not in unchanged.cookies
    assert "org_token" in lost.cookies
    assert "org_token" in ending.cookies


async def test_switching_lets_the_session_act_in_another_organization(ada: Client) -> None:
    before = await (await ada.get("/api/projects?limit=1")).json()

    reply = await ada.post("/api/auth/switch", json={"organizationId": 2})

    assert (await reply.json())["organization"]["slug"] == "globex"
    after = await ada.get("/api/projects?limit=1")
    assert (await after.json())["data"] != before["data"]
    assert after.headers["Cache-Groups"].startswith('"org:2"')


async def test_nobody_switches_to_an_organization_of_others(ada: Client) -> None:
    reply = await ada.post("/api/auth/switch", json={"organizationId": 3})

    assert reply.status == 404
    assert (await (await ada.get("/api/auth/session")).json())["organization"]["id"] == 1


async def test_a_member_who_was_removed_is_logged_out(
    new_client: Callable[[], Awaitable[Client]], sql: asyncpg.Connection
) -> None:
    client = await new_client()
    await client.post(LOGIN, json={"email": "ben@acme.test", "password": "demo-password"})
    assert (await client.get("/api/projects")).status == 200

    await sql.execute("DELETE FROM memberships WHERE user_id = 2")

    assert (await client.get("/api/projects")).status == 401


async def test_an_api_key_reads_until_it_is_revoked(ada: Client, anyone: Client) -> None:
    created = await (await ada.post("/api/auth/api-keys", json={"name": "CI"})).json()
    machine = {"Authorization": f"Bearer {created['key']}"}

    reply = await anyone.get("/api/projects", headers=machine)
    listed = await (await ada.get("/api/auth/api-keys")).json()
    assert reply.status == 200
    assert "key" not in listed["data"][0]
    assert created["key"].startswith(listed["data"][0]["prefix"])

    await ada.delete(f"/api/auth/api-keys/{created['id']}")
    assert (await anyone.get("/api/projects", headers=machine)).status == 401


async def test_an_api_key_cant_make_further_keys(ada: Client, anyone: Client) -> None:
    created = await (await ada.post("/api/auth/api-keys", json={"name": "CI"})).json()

    reply = await anyone.post(
        "/api/auth/api-keys",
        json={"name": "more"},
        headers={"Authorization": f"Bearer {created['key']}"},
    )

    assert reply.status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer hub_wrong"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
        {"Cookie": "session_token=x"},
        {"Cookie": "org_token=x"},
        {"X-Org-Id": "1", "X-User-Id": "1"},
    ],
    ids=["key", "basic", "empty", "session", "token-alone", "claims"],
)
async def test_nothing_but_a_valid_proof_opens_the_api(
    anyone: Client, headers: dict[str, str]
) -> None:
    reply = await anyone.get("/api/projects", headers=headers)

    assert reply.status == 401
    assert "Bearer" in reply.headers["WWW-Authenticate"]
    assert (await error_of(reply))["code"] == "login_required"


async def test_a_claimed_organization_changes_nothing(ada: Client) -> None:
    honest = await ada.get("/api/projects?limit=1")
    claimed = await ada.get(
        "/api/projects?limit=1", headers=MultiDict({"X-Org-Id": "3", "X-Organization": "initech"})
    )

    assert await claimed.read() == await honest.read()


async def audited(sql: asyncpg.Connection) -> tuple[str, str, str]:
    row = await sql.fetchrow(
        "SELECT action, severity, target FROM audit_logs ORDER BY id DESC LIMIT 1"
    )
    assert row is not None
    return row["action"], row["severity"], row["target"]


async def test_a_wrong_password_for_a_known_address_is_on_record(
    anyone: Client, sql: asyncpg.Connection
) -> None:
    wrong = {"email": "ada@acme.test", "password": "guessed"}

    assert (await anyone.post("/api/auth/login", json=wrong)).status == 401

    assert await audited(sql) == ("auth.failed", "WARNING", "user:1")


async def test_acting_in_another_organization_is_on_record(
    ada: Client, sql: asyncpg.Connection
) -> None:
    await ada.post("/api/auth/switch", json={"organizationId": 2})

    assert await audited(sql) == ("auth.switched", "INFO", "org:2")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data", b"x", 415),
        ("multipart/form-data; boundary=b", b"--b\r\nno header", 415),
        ("application/x-www-form-urlencoded", b"email=\xff", 400),
        ("application/x-www-form-urlencoded; charset=martian", b"email=x", 400),
        ("application/x-www-form-urlencoded", b"email=" + b"x" * 70_000, 413),
    ],
)
async def test_a_form_that_cant_be_read_is_the_senders_error(
    anyone: Client, content_type: str, body: bytes, status: int
) -> None:
    reply = await anyone.post("/api/auth/login", data=body, headers={"Content-Type": content_type})

    assert reply.status == status
    assert (await reply.json())["error"]["message"]
