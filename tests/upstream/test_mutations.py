"""Resolving issues and starting runs: once, by who may, with everything that follows."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientResponse

from tests.upstream.conftest import logged_in
from tests.upstream.world import Client, call, result


async def write(client: Client, name: str, given: Any, **query: str) -> ClientResponse:
    return await client.post(f"/api/trpc/{name}", json=given, params=query)


async def open_issue(client: Client) -> dict[str, Any]:
    page = await result(client, "insight.getIssues", {"status": "open", "limit": 1})
    issue: dict[str, Any] = page["data"][0]
    return issue


async def test_a_resolved_issue_leaves_the_open_ones_and_names_what_it_made_wrong(
    ada: Client, sql: asyncpg.Connection
) -> None:
    issue = await open_issue(ada)
    before = await result(ada, "analytics.getMetrics", {"projectId": issue["projectId"]})

    reply = await write(ada, "insight.resolveIssue", {"issueId": issue["id"]})

    assert reply.status == 200
    data = (await reply.json())["result"]["data"]
    assert (data["id"], data["status"]) == (issue["id"], "resolved")
    groups = f'"org:1", "project:{issue["projectId"]}"'
    assert reply.headers["Cache-Group-Invalidation"] == groups
    assert reply.headers["Cache-Control"] == "no-store"
    assert (await open_issue(ada))["id"] != issue["id"]
    after = await result(ada, "analytics.getMetrics", {"projectId": issue["projectId"]})
    assert sum(after["openBySeverity"].values()) == sum(before["openBySeverity"].values()) - 1
    logged = await sql.fetchrow("SELECT * FROM audit_logs ORDER BY id DESC LIMIT 1")
    assert logged is not None
    assert (logged["action"], logged["target"]) == ("issue.resolved", f"issue:{issue['id']}")
    assert (logged["org_id"], logged["user_id"]) == (1, 1)


async def test_resolving_twice_happens_once(ada: Client, sql: asyncpg.Connection) -> None:
    issue = await open_issue(ada)
    given = {"issueId": issue["id"]}

    replies = await asyncio.gather(*(write(ada, "insight.resolveIssue", given) for _ in range(4)))

    assert [reply.status for reply in replies] == [200] * 4
    answers = {json.dumps((await reply.json())["result"]["data"]) for reply in replies}
    assert len(answers) == 1
    lines = await sql.fetchval(
        "SELECT count(*) FROM audit_logs WHERE target = $1", f"issue:{issue['id']}"
    )
    assert lines == 1


async def test_a_resolution_can_be_taken_back(ada: Client) -> None:
    issue = await open_issue(ada)
    resolved_before = (await result(ada, "analytics.getMetrics"))["totals"]["issuesResolved"]
    await write(ada, "insight.resolveIssue", {"issueId": issue["id"]})

    reply = await write(ada, "insight.reopenIssue", {"issueId": issue["id"]})

    assert (await reply.json())["result"]["data"]["status"] == "open"
    assert (await open_issue(ada))["id"] == issue["id"]
    metrics = await result(ada, "analytics.getMetrics", {"days": 90})
    assert metrics["totals"]["issuesResolved"] >= resolved_before


async def test_a_started_run_waits_in_the_list_and_a_second_one_is_refused_meanwhile(
    ada: Client, sql: asyncpg.Connection
) -> None:
    project = await sql.fetchval(
        "SELECT id FROM projects WHERE org_id = 1 AND status = 'active' AND NOT EXISTS"
        " (SELECT FROM autopilot_runs AS r WHERE r.project_id = projects.id AND"
        "  r.status = 'queued') ORDER BY id DESC LIMIT 1"
    )
    given = {"projectId": project}

    replies = await asyncio.gather(*(write(ada, "autopilot.startRun", given) for _ in range(3)))

    assert sorted(reply.status for reply in replies) == [200, 409, 409]
    started = next(reply for reply in replies if reply.status == 200)
    assert started.headers["Cache-Group-Invalidation"] == f'"org:1", "project:{project}"'
    run = (await started.json())["result"]["data"]
    newest = (await result(ada, "autopilot.getRuns", {"limit": 1}))["data"][0]
    assert (newest["id"], newest["status"], newest["trigger"]) == (run["id"], "queued", "manual")
    refused = next(reply for reply in replies if reply.status == 409)
    error = (await refused.json())["error"]
    assert (error["data"]["code"], error["data"]["field"]) == ("CONFLICT", "projectId")


async def test_an_archived_project_isnt_run(ada: Client, sql: asyncpg.Connection) -> None:
    project = await sql.fetchval(
        "UPDATE projects SET status = 'archived'"
        " WHERE id = (SELECT min(id) FROM projects WHERE org_id = 1) RETURNING id"
    )

    reply = await write(ada, "autopilot.startRun", {"projectId": project})

    assert reply.status == 409
    assert "Cache-Group-Invalidation" not in reply.headers


@pytest.mark.parametrize("name", ["insight.resolveIssue", "insight.reopenIssue"])
async def test_nobody_touches_the_issues_of_another_organization(
    ada: Client, alan: Client, name: str
) -> None:
    issue = await open_issue(ada)

    assert (await write(alan, name, {"issueId": issue["id"]})).status == 404


async def test_nobody_runs_the_projects_of_another_organization(ada: Client, alan: Client) -> None:
    issue = await open_issue(ada)

    reply = await write(alan, "autopilot.startRun", {"projectId": issue["projectId"]})

    assert reply.status == 404


async def test_viewers_and_strangers_write_nothing(
    anyone: Client,
    ada: Client,
    new_client: Callable[[], Awaitable[Client]],
    sql: asyncpg.Connection,
) -> None:
    await sql.execute("UPDATE memberships SET role = 'viewer' WHERE user_id = 2")
    ben = await logged_in(new_client, "ben@acme.test")
    issue = await open_issue(ada)

    refused = await write(ben, "insight.resolveIssue", {"issueId": issue["id"]})
    unknown = await write(anyone, "insight.resolveIssue", {"issueId": issue["id"]})

    assert (refused.status, unknown.status) == (403, 401)
    assert (await open_issue(ada))["id"] == issue["id"]


async def test_a_batch_writes_in_order_and_says_what_became_of_each(ada: Client) -> None:
    issue = await open_issue(ada)
    given = {"0": {"issueId": issue["id"]}, "1": {"issueId": 2**40}, "2": {"issueId": issue["id"]}}

    reply = await write(
        ada, "insight.resolveIssue,insight.resolveIssue,insight.reopenIssue", given, batch="1"
    )

    assert reply.status == 207
    first, second, third = await reply.json()
    assert first["result"]["data"]["status"] == "resolved"
    assert second["error"]["data"]["httpStatus"] == 404
    assert third["result"]["data"]["status"] == "open"
    groups = f'"org:1", "project:{issue["projectId"]}"'
    assert reply.headers["Cache-Group-Invalidation"] == groups


@pytest.mark.parametrize(
    ("method", "name", "allowed"),
    [
        ("GET", "insight.resolveIssue", "POST"),
        ("POST", "insight.getIssues", "GET, HEAD"),
        ("PUT", "insight.getIssues", "GET, HEAD"),
        ("PUT", "insight.resolveIssue", "POST"),
        ("PUT", "no.such", "GET, HEAD, POST"),
    ],
)
async def test_a_procedure_is_called_by_its_own_method(
    ada: Client, method: str, name: str, allowed: str
) -> None:
    reply = await ada.request(method, f"/api/trpc/{name}", json={})

    assert reply.status == 405
    assert reply.headers["Allow"] == allowed
    assert (await reply.json())["error"]["data"]["code"] == "METHOD_NOT_SUPPORTED"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ("{", 400, None),
        ("[]", 400, None),
        ("{}", 400, "issueId"),
        ('{"issueId": "1"}', 400, "issueId"),
        ('{"issueId": 0}', 400, "issueId"),
        ('{"issueId": 1e999}', 400, "issueId"),
        ('{"issueId": 9223372036854775808}', 400, "issueId"),
        ('{"issueId": 1, "orgId": 3}', 400, "orgId"),
        ('{"issueId": 1, "pad": "' + "x" * 70_000 + '"}', 413, None),
        ("[" * 5000, 400, None),
        ("\x00", 400, None),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_a_body_that_cant_be_meant_is_refused_in_trpcs_words(
    ada: Client, body: str, status: int, field: str | None
) -> None:
    reply = await ada.post(
        "/api/trpc/insight.resolveIssue", data=body, headers={"Content-Type": "application/json"}
    )

    assert reply.status == status
    data = (await reply.json())["error"]["data"]
    assert (data["httpStatus"], data.get("field")) == (status, field)


async def test_a_form_of_a_foreign_site_writes_nothing(ada: Client) -> None:
    reply = await ada.post("/api/trpc/insight.resolveIssue", data={"issueId": "1"})

    assert reply.status == 415


async def test_a_write_is_seen_by_the_next_read_with_the_old_date(ada: Client) -> None:
    issue = await open_issue(ada)
    old = {"If-Modified-Since": "Sat, 01 Jan 2028 00:00:00 GMT"}
    await write(ada, "insight.resolveIssue", {"issueId": issue["id"]})

    reply = await call(ada, "insight.getIssues", {"status": "open", "limit": 1}, **old)

    assert reply.status == 200
    assert "Last-Modified" not in reply.headers
