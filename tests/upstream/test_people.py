"""Who belongs to an organization, and what they did: told to those who may know."""

from collections.abc import Awaitable, Callable

import pytest

from tests.upstream.conftest import logged_in
from tests.upstream.world import Client, error_of


async def test_members_are_listed_and_searched(ada: Client, alan: Client) -> None:
    everybody = await (await ada.get("/api/members?limit=100")).json()
    active = await (await ada.get("/api/members?status=active&limit=100")).json()
    found = await (await ada.get("/api/members", params={"search": "ada@"})).json()
    elsewhere = await (await alan.get("/api/members", params={"search": "ada@"})).json()

    assert everybody["pagination"]["total"] > active["pagination"]["total"] > 0
    assert [row["name"] for row in found["data"]] == ["Ada Byron"]
    assert elsewhere["data"] == []


async def test_the_audit_log_tells_what_was_done_to_admins_alone(
    ada: Client, new_client: Callable[[], Awaitable[Client]]
) -> None:
    ben = await logged_in(new_client, "ben@acme.test")
    await ada.post("/api/projects", json={"name": "Audited", "language": "Go"})
    entries = await (await ada.get("/api/audit?action=project.created")).json()
    grave = await (await ada.get("/api/audit?severity=grave")).json()
    refused = await ben.get("/api/audit")

    assert entries["data"][0]["target"].startswith("project:")
    assert {row["severity"] for row in grave["data"]} <= {"ERROR", "CRITICAL"}
    assert refused.status == 403


async def test_people_see_their_own_sessions_and_deeds(ada: Client) -> None:
    told = await (await ada.get("/api/auth/activity")).json()

    assert len(told["sessions"]) >= 1
    assert "token" not in str(told).lower().replace("tokens", "")
    assert told["apiKeysOfOrganization"] is not None


@pytest.mark.parametrize("path", ["/api/members", "/api/audit", "/api/auth/activity"])
async def test_nobody_else_sees_any_of_it(anyone: Client, path: str) -> None:
    answer = await anyone.get(path)

    assert answer.status == 401


async def test_a_filter_that_makes_no_sense_is_named(ada: Client) -> None:
    answer = await ada.get("/api/audit?severity=mild")

    assert answer.status == 400
    assert (await error_of(answer))["field"] == "severity"
