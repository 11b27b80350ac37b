"""Walking through lists: pages, cursors, filters and what is refused."""

from typing import Any

import asyncpg
import pytest

from tests.upstream.world import Client, call, error_of, result

LISTS = ("insight.getIssues", "autopilot.getRuns", "guardian.getTests")


async def walk(client: Client, procedure: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all rows, following cursors to the end."""
    rows, cursor = [], None
    while True:
        page = await result(
            client, procedure, given | ({} if cursor is None else {"cursor": cursor})
        )
        rows += page["data"]
        cursor = page["pagination"]["nextCursor"]
        if cursor is None:
            return rows


@pytest.mark.parametrize("procedure", LISTS)
async def test_a_list_has_twenty_rows_newest_first_unless_asked_otherwise(
    ada: Client, procedure: str
) -> None:
    page = await result(ada, procedure)

    dates = [row["createdAt"] for row in page["data"]]
    assert len(dates) == 20
    assert dates == sorted(dates, reverse=True)
    assert page["pagination"]["page"] == 1
    assert page["pagination"]["limit"] == 20
    assert page["pagination"]["hasNext"] is True
    assert page["pagination"]["hasPrevious"] is False
    assert page["pagination"]["totalPages"] == -(-page["pagination"]["total"] // 20)


@pytest.mark.parametrize("procedure", LISTS)
async def test_pages_and_cursors_walk_through_the_same_rows_each_exactly_once(
    alan: Client, procedure: str
) -> None:
    by_cursor = [row["id"] for row in await walk(alan, procedure, {"limit": 97})]
    pages = -(-len(by_cursor) // 97)
    by_page: list[int] = []
    answer: dict[str, Any] = {}
    for page in range(1, pages + 1):
        answer = await result(alan, procedure, {"limit": 97, "page": page})
        by_page += [row["id"] for row in answer["data"]]
        assert answer["pagination"]["hasNext"] is (page < pages)
        assert answer["pagination"]["hasPrevious"] is (page > 1)

    assert by_page == by_cursor
    assert len(set(by_cursor)) == len(by_cursor) == answer["pagination"]["total"]


async def test_rows_that_share_one_instant_are_neither_lost_nor_repeated(
    alan: Client, sql: asyncpg.Connection
) -> None:
    project = await sql.fetchval("SELECT min(id) FROM projects WHERE org_id = 3")
    await sql.execute(
        "INSERT INTO guardian_tests (org_id, project_id, url, status, performance,"
        " accessibility, security, duration_ms, created_at)"
        " SELECT 3, $1, 'https://same.test/', 'passed', 1, 1, 1, 1, '2026-10-01Z'"
        " FROM generate_series(1, 25)",
        project,
    )

    rows = await walk(alan, "guardian.getTests", {"limit": 10, "url": "https://same.test/"})

    assert len({row["id"] for row in rows}) == len(rows) == 25


async def test_a_new_row_does_not_shift_what_a_cursor_shows(
    alan: Client, sql: asyncpg.Connection
) -> None:
    whole = await result(alan, "autopilot.getRuns", {"limit": 10})
    first = await result(alan, "autopilot.getRuns", {"limit": 5})
    project = await sql.fetchval("SELECT min(id) FROM projects WHERE org_id = 3")
    await sql.execute(
        "INSERT INTO autopilot_runs (org_id, project_id, status, trigger)"
        " VALUES (3, $1, 'queued', 'manual')",
        project,
    )

    second = await result(
        alan, "autopilot.getRuns", {"limit": 5, "cursor": first["pagination"]["nextCursor"]}
    )

    assert second["data"] == whole["data"][5:]
    assert second["pagination"]["page"] == 2
    assert second["pagination"]["hasPrevious"] is True


async def test_a_page_behind_the_end_is_empty_but_says_how_many_there_are(ada: Client) -> None:
    page = await result(ada, "insight.getIssues", {"page": 9999})

    assert page["data"] == []
    assert page["pagination"]["total"] > 0
    assert page["pagination"]["hasNext"] is False
    assert page["pagination"]["nextCursor"] is None


@pytest.mark.parametrize(
    ("given", "column", "expected"),
    [
        ({"severity": "critical"}, "severity", "critical"),
        ({"status": "open"}, "status", "open"),
        ({"status": "resolved"}, "status", "resolved"),
        ({"detector": "security"}, "detector", "security"),
        ({"severity": "low", "status": "open", "limit": 3}, "severity", "low"),
    ],
)
async def test_a_filter_keeps_only_what_it_names(
    ada: Client, given: dict[str, Any], column: str, expected: str
) -> None:
    everything = await result(ada, "insight.getIssues", {"limit": 1})

    page = await result(ada, "insight.getIssues", given)

    assert {row[column] for row in page["data"]} == {expected}
    assert 0 < page["pagination"]["total"] < everything["pagination"]["total"]


async def test_a_time_range_includes_its_start_and_excludes_its_end(ada: Client) -> None:
    newest = (await result(ada, "insight.getIssues", {"limit": 1}))["data"][0]["createdAt"]

    since = await result(ada, "insight.getIssues", {"since": newest})
    until = await result(ada, "insight.getIssues", {"until": newest, "limit": 1})

    assert [row["createdAt"] for row in since["data"]] == [newest]
    assert until["data"][0]["createdAt"] < newest


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"limit": 101}, "limit"),
        ({"limit": 0}, "limit"),
        ({"limit": "20"}, "limit"),
        ({"page": 0}, "page"),
        ({"page": 10**30}, "page"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": ""}, "cursor"),
        ({"severity": "worst"}, "severity"),
        ({"detector": "a'; DROP TABLE users; --"}, "detector"),
        ({"projectId": -1}, "projectId"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_value_is_answered_400_with_the_fields_name(
    ada: Client, given: dict[str, Any], field: str
) -> None:
    reply = await call(ada, "insight.getIssues", given)

    assert reply.status == 400
    assert reply.headers["Cache-Control"] == "no-store"
    error = (await reply.json())["error"]
    assert error["data"]["field"] == field
    assert error["data"]["code"] == "BAD_REQUEST"


async def test_a_cursor_of_another_list_is_refused(ada: Client) -> None:
    runs = await result(ada, "autopilot.getRuns", {"limit": 1})

    reply = await call(ada, "insight.getIssues", {"cursor": runs["pagination"]["nextCursor"]})

    assert reply.status == 400


async def test_page_and_cursor_together_are_refused(ada: Client) -> None:
    first = await result(ada, "insight.getIssues", {"limit": 1})

    reply = await call(
        ada, "insight.getIssues", {"page": 2, "cursor": first["pagination"]["nextCursor"]}
    )

    assert (await reply.json())["error"]["data"]["field"] == "cursor"


@pytest.mark.parametrize("query", ["limit=101", "limit=x", "limit=1&limit=2", "sort=name"])
async def test_query_parameters_are_checked_like_any_input(ada: Client, query: str) -> None:
    reply = await ada.get(f"/api/projects?{query}")

    assert reply.status == 400
    assert (await error_of(reply))["field"] == query.partition("=")[0]
