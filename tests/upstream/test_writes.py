"""Creating and changing projects and organizations."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from tests.upstream.world import Client, error_of
from upstream.handlers.organizations import slugify

PROJECT = {"name": "Checkout Next", "language": "Go"}


async def test_a_new_project_can_be_read_where_it_says(
    ada: Client, sql: asyncpg.Connection
) -> None:
    reply = await ada.post("/api/projects", json=PROJECT)

    assert reply.status == 201
    assert reply.headers["Cache-Group-Invalidation"] == '"org:1"'
    created = await reply.json()
    assert await (await ada.get(reply.headers["Location"])).json() == created
    listed = await (await ada.get("/api/projects?limit=1")).json()
    assert listed["data"] == [created]
    logged = await sql.fetchrow("SELECT * FROM audit_logs ORDER BY id DESC LIMIT 1")
    assert logged is not None
    assert (logged["action"], logged["target"]) == ("project.created", f"project:{created['id']}")
    assert (logged["org_id"], logged["user_id"]) == (1, 1)


async def test_a_name_that_exists_is_a_conflict(ada: Client) -> None:
    await ada.post("/api/projects", json=PROJECT | {"name": "Twice"})

    reply = await ada.post("/api/projects", json=PROJECT | {"name": "twice!"})

    assert reply.status == 409
    assert (await error_of(reply))["field"] == "name"


async def test_a_patch_changes_what_it_names_and_nothing_else(ada: Client) -> None:
    before = await (await ada.get("/api/projects/1")).json()

    reply = await ada.patch("/api/projects/1", json={"status": "archived", "repositoryUrl": None})

    after = await reply.json()
    assert reply.headers["Cache-Group-Invalidation"] == '"org:1", "project:1"'
    assert after["updatedAt"] > before["updatedAt"]
    unchanged = ("id", "slug", "name", "language", "createdAt")
    assert {key: after[key] for key in unchanged} == {key: before[key] for key in unchanged}
    assert (after["status"], after["repositoryUrl"]) == ("archived", None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""} | {"language": "Go"}, "name"),
        ({"name": "   ", "language": "Go"}, "name"),
        ({"name": "x" * 81, "language": "Go"}, "name"),
        ({"name": "x", "language": "Klingon"}, "language"),
        ({"name": "x", "language": "Go", "repositoryUrl": "javascript:alert(1)"}, "repositoryUrl"),
        ({"name": "x", "language": "Go", "orgId": 2}, "orgId"),
    ],
)
async def test_a_project_that_cant_be_meant_is_refused(
    ada: Client, body: dict[str, Any], field: str
) -> None:
    reply = await ada.post("/api/projects", json=body)

    assert reply.status == 400
    assert (await error_of(reply))["field"] == field


async def test_a_patch_that_names_nothing_is_refused(ada: Client) -> None:
    assert (await ada.patch("/api/projects/1", json={})).status == 400


async def test_text_that_the_database_cant_hold_is_the_clients_error(ada: Client) -> None:
    reply = await ada.post("/api/projects", json=PROJECT | {"name": "nul\x00"})

    assert reply.status == 400


@pytest.mark.parametrize("number", ["0", "99999999999", "9223372036854775808", "x", "1.5"])
async def test_a_project_that_isnt_there_is_not_found(ada: Client, number: str) -> None:
    reply = await ada.get(f"/api/projects/{number}")

    assert reply.status == 404
    assert reply.headers["Cache-Control"] == "no-store"


async def test_a_method_without_meaning_is_refused_with_those_that_have_one(ada: Client) -> None:
    reply = await ada.delete("/api/projects/1")

    assert reply.status == 405
    assert set(reply.headers["Allow"].split(",")) == {"GET", "HEAD", "PATCH"}
    assert (await error_of(reply))["code"] == "method_not_allowed"


async def test_viewers_change_nothing(
    new_client: Callable[[], Awaitable[Client]], sql: asyncpg.Connection
) -> None:
    await sql.execute("UPDATE memberships SET role = 'viewer' WHERE user_id = 2")
    ben = await new_client()
    await ben.post("/api/auth/login", json={"email": "ben@acme.test", "password": "demo-password"})

    assert (await ben.post("/api/projects", json=PROJECT)).status == 403
    assert (await ben.patch("/api/organizations/1", json={"name": "Ben's"})).status == 403
    assert (await ben.post("/api/stripe/portal")).status == 403


async def test_a_user_sees_every_own_organization_with_the_role(ada: Client) -> None:
    reply = await ada.get("/api/organizations")

    page = await reply.json()
    roles = {row["slug"]: row["role"] for row in page["data"]}
    assert roles.items() >= {"acme": "owner", "globex": "member"}.items()
    assert reply.headers["Cache-Control"] == "s-maxage=300, stale-while-revalidate=300"
    assert reply.headers["Cache-Groups"].startswith('"user:1"')


async def test_who_creates_an_organization_owns_it(alan: Client) -> None:
    reply = await alan.post("/api/organizations", json={"name": "Initech Labs"})

    assert reply.status == 201
    assert reply.headers["Cache-Group-Invalidation"] == '"user:4"'
    created = await reply.json()
    assert created["role"] == "owner"
    assert created["slug"].startswith("initech-labs-")
    switched = await alan.post("/api/auth/switch", json={"organizationId": created["id"]})
    assert switched.status == 200
    assert (await (await alan.get("/api/projects")).json())["pagination"]["total"] == 0
    metrics = await alan.get("/api/trpc/analytics.getMetrics")
    assert set((await metrics.json())["result"]["data"]["totals"].values()) == {0}


async def test_owners_rename_the_organization_they_act_in(ada: Client) -> None:
    reply = await ada.patch("/api/organizations/1", json={"name": "Acme & Sons"})

    assert (await reply.json())["name"] == "Acme & Sons"
    assert reply.headers["Cache-Group-Invalidation"] == '"user:1", "org:1"'
    assert "Acme &amp; Sons" in await (await ada.get("/dashboard")).text()


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Checkout Web", "checkout-web"),
        ("  Ünïcode!! ", "n-code"),
        ("日本", "x"),
        ("a" * 60, "a" * 40),
    ],
)
def test_a_slug_is_made_of_small_letters_digits_and_hyphens(name: str, slug: str) -> None:
    assert slugify(name) == slug
