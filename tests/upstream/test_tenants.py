"""No organization ever sees the rows of another, not even through a cache."""

from typing import Any

import asyncpg
import pytest

from tests.upstream.world import PROCEDURES, Client, call, cookies_of, replace_cookie, result
from upstream.context import Hub

LISTS = {
    "insight.getIssues": "insight_issues",
    "autopilot.getRuns": "autopilot_runs",
    "guardian.getTests": "guardian_tests",
}


async def ids(client: Client, procedure: str) -> set[int]:
    found: set[int] = set()
    page: dict[str, Any] = {"pagination": {"nextCursor": None}}
    while True:
        cursor = page["pagination"]["nextCursor"]
        given = {"limit": 100} | ({"cursor": cursor} if cursor else {})
        page = await result(client, procedure, given)
        found |= {row["id"] for row in page["data"]}
        if not page["pagination"]["hasNext"]:
            return found


@pytest.mark.parametrize("procedure", LISTS)
async def test_a_list_holds_all_rows_of_the_own_organization_and_no_other(
    ada: Client, alan: Client, sql: asyncpg.Connection, procedure: str
) -> None:
    of_acme, of_initech = await ids(ada, procedure), await ids(alan, procedure)

    for org_id, found in ((1, of_acme), (3, of_initech)):
        rows = await sql.fetch(f"SELECT id FROM {LISTS[procedure]} WHERE org_id = $1", org_id)
        assert found == {row["id"] for row in rows}
    assert not of_acme & of_initech


async def test_a_cursor_carried_to_another_organization_shows_that_ones_own_rows(
    ada: Client, alan: Client
) -> None:
    cursor = (await result(ada, "insight.getIssues"))["pagination"]["nextCursor"]

    page = await result(alan, "insight.getIssues", {"cursor": cursor})

    assert {row["id"] for row in page["data"]} <= await ids(alan, "insight.getIssues")


@pytest.mark.parametrize("path", ["/api/projects/1", "/api/organizations/1"])
async def test_a_foreign_object_is_as_good_as_absent(alan: Client, ada: Client, path: str) -> None:
    assert (await ada.get(path)).status == 200
    assert (await alan.get(path)).status == 404
    assert (await alan.patch(path, json={"name": "taken over"})).status == 404


async def test_answers_for_an_organization_may_be_kept_by_who_can_verify_it(ada: Client) -> None:
    for procedure in PROCEDURES:
        reply = await call(ada, procedure)
        assert reply.headers["Cache-Control"].startswith("s-maxage=")
        assert reply.headers["Cache-Groups"].startswith('"org:1", ')
        assert "Vary" not in reply.headers


async def test_without_the_organization_token_no_cache_may_keep_the_answer(ada: Client) -> None:
    ada.session.cookie_jar.clear(lambda cookie: cookie.key == "org_token")

    for path in ("/api/projects", "/api/projects/1", "/api/trpc/insight.getIssues"):
        reply = await ada.get(path)
        assert reply.status == 200
        assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("user_id", "org_id", "age"),
    [
        pytest.param(1, 2, 0, id="other-organization"),
        pytest.param(2, 1, 0, id="other-user"),
        pytest.param(1, 1, 4000, id="expired"),
    ],
)
async def test_a_token_that_contradicts_the_session_keeps_the_answer_out_of_caches(
    ada: Client, hub: Hub, user_id: int, org_id: int, age: int
) -> None:
    own = await (await ada.get("/api/projects")).json()
    token = hub.signer.issue(user_id=user_id, org_id=org_id, now=hub.clock() - age)
    replace_cookie(ada, "org_token", token)

    reply = await ada.get("/api/projects")

    assert await reply.json() == own
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "template",
    [
        "session_token={s}; org_token={own}; org_token={other}",
        "session_token={s}; org_token={other}; org_token={own}",
        'session_token={s}; x="; org_token={other}; y="; org_token={own}',
    ],
    ids=["first", "last", "quoted"],
)
async def test_two_tokens_in_one_request_prove_nothing(
    ada: Client, anyone: Client, hub: Hub, template: str
) -> None:
    cookies = cookies_of(ada)
    other = hub.signer.issue(user_id=1, org_id=2, now=hub.clock())
    header = template.format(
        s=cookies["session_token"].value, own=cookies["org_token"].value, other=other
    )

    reply = await anyone.get("/api/projects", headers={"Cookie": header})

    assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")


async def test_two_sessions_in_one_request_are_none(
    ada: Client, alan: Client, anyone: Client
) -> None:
    both = "; ".join(
        f"session_token={cookies_of(client)['session_token'].value}" for client in (ada, alan)
    )

    reply = await anyone.get("/api/projects", headers={"Cookie": both})

    assert reply.status == 401


async def test_answers_to_a_machine_are_kept_by_nobody(ada: Client, anyone: Client) -> None:
    key = (await (await ada.post("/api/auth/api-keys", json={"name": "CI"})).json())["key"]

    for path in ("/api/projects", "/api/organizations", "/api/trpc/autopilot.getRuns"):
        reply = await anyone.get(path, headers={"Authorization": f"Bearer {key}"})
        assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")
