"""The wire format of tRPC: single calls, batches, errors."""

import json
from typing import Any

import pytest

from tests.upstream.world import PROCEDURES, Client, call, result


async def batch(client: Client, names: str, given: dict[str, Any] | str) -> Any:
    text = given if isinstance(given, str) else json.dumps(given)
    return await client.get(f"/api/trpc/{names}", params={"batch": "1", "input": text})


@pytest.mark.parametrize("procedure", PROCEDURES)
async def test_every_procedure_answers_without_any_input(ada: Client, procedure: str) -> None:
    reply = await call(ada, procedure)

    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert int(reply.headers["Content-Length"]) == len(await reply.read())
    assert set(await reply.json()) == {"result"}


@pytest.mark.parametrize("procedure", PROCEDURES)
async def test_nobody_reads_anything_without_logging_in(anyone: Client, procedure: str) -> None:
    reply = await call(anyone, procedure)

    assert reply.status == 401
    assert reply.headers["Cache-Control"] == "no-store"
    error = (await reply.json())["error"]
    assert (error["code"], error["data"]["code"]) == (-32001, "UNAUTHORIZED")
    assert error["data"]["path"] == procedure


async def test_a_batch_is_answered_in_the_order_of_its_names(ada: Client) -> None:
    reply = await batch(
        ada, "guardian.getTests,insight.getIssues", {"0": {"limit": 1}, "1": {"limit": 2}}
    )

    assert reply.status == 200
    tests, issues = (entry["result"]["data"] for entry in await reply.json())
    assert "accessibility" in tests["data"][0]
    assert len(issues["data"]) == 2
    assert reply.headers["Cache-Control"] == "s-maxage=60, stale-while-revalidate=300"
    assert reply.headers["Cache-Groups"] == (
        '"org:1", "org:1:guardian.getTests", "org:1:insight.getIssues"'
    )


async def test_a_batch_of_one_is_answered_by_an_array_of_one(ada: Client) -> None:
    reply = await batch(ada, "analytics.getMetrics", {})

    assert len(await reply.json()) == 1
    assert reply.headers["Cache-Control"] == "s-maxage=300, stale-while-revalidate=300"


async def test_a_batch_that_ends_differently_for_its_members_is_answered_207(ada: Client) -> None:
    reply = await batch(ada, "insight.getIssues,autopilot.getRuns,no.such", {"0": {"limit": 999}})

    assert reply.status == 207
    assert reply.headers["Cache-Control"] == "no-store"
    wrong, right, missing = await reply.json()
    assert wrong["error"]["data"]["httpStatus"] == 400
    assert "result" in right
    assert missing["error"]["data"]["httpStatus"] == 404


async def test_a_batch_whose_members_all_fail_alike_has_their_status(ada: Client) -> None:
    reply = await batch(ada, "no.such,nor.this", {})

    assert reply.status == 404
    assert len(await reply.json()) == 2


@pytest.mark.parametrize("given", ["[]", "{", '{"2": {}}', '{"x": {}}', "\x00", '{"0": {}, "0"}'])
async def test_a_batch_with_an_input_that_fits_no_member_is_refused(
    ada: Client, given: str
) -> None:
    reply = await batch(ada, "insight.getIssues,autopilot.getRuns", given)

    assert reply.status == 400
    assert (await reply.json())["error"]["data"]["code"] == "BAD_REQUEST"


async def test_a_batch_has_at_most_twenty_members(ada: Client) -> None:
    reply = await batch(ada, ",".join(["autopilot.getRuns"] * 21), {})

    assert reply.status == 400


@pytest.mark.parametrize("given", ["{", "[]", "7", '"x"', "[" * 100_000, "null "])
async def test_input_that_is_no_object_is_refused(ada: Client, given: str) -> None:
    reply = await ada.get("/api/trpc/insight.getIssues", params={"input": given[:4000]})

    assert reply.status == 400


async def test_a_procedure_that_reads_is_not_called_with_post(ada: Client) -> None:
    reply = await ada.post("/api/trpc/insight.getIssues", json={})

    assert reply.status == 405
    assert reply.headers["Allow"] == "GET, HEAD"
    assert (await reply.json())["error"]["data"]["code"] == "METHOD_NOT_SUPPORTED"


async def test_metrics_add_up_over_the_days_asked_for(ada: Client) -> None:
    metrics = await result(ada, "analytics.getMetrics", {"days": 14})

    assert len(metrics["series"]) == 14
    assert metrics["series"][-1]["day"] == metrics["until"]
    for measure, total in metrics["totals"].items():
        assert sum(day[measure] for day in metrics["series"]) == total
    assert metrics["totals"]["issuesFound"] > 0
    assert set(metrics["openBySeverity"]) <= {"low", "medium", "high", "critical"}


async def test_metrics_of_one_project_are_a_part_of_the_whole(ada: Client) -> None:
    whole = await result(ada, "analytics.getMetrics")
    busiest = whole["busiestProjects"][0]

    part = await result(ada, "analytics.getMetrics", {"projectId": busiest["id"]})

    assert 0 < part["totals"]["issuesFound"] == busiest["issuesFound"]
    assert part["totals"]["issuesFound"] < whole["totals"]["issuesFound"]


async def test_metrics_of_a_foreign_project_are_empty(alan: Client) -> None:
    part = await result(alan, "analytics.getMetrics", {"projectId": 1})

    assert set(part["totals"].values()) == {0}
