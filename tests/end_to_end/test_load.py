"""What load testers run: both scripts at their smallest on what `make run` starts, and a crowd."""

import asyncio
import json
import re
import sys
from pathlib import Path

import msgspec

from loadtest import record
from loadtest.crowd.result import Result
from loadtest.definition import definition, options_for
from tests.upstream.world import directory

LIMIT = 300.0
"""Seconds for everything on a busy machine, of which two times 15 are the tests themselves."""
MOST_BUSY = 0.1
"""The share of answers by which a hub that gets no processor may say that it is busy."""


async def test_both_scripts_rehearse_what_make_run_starts() -> None:
    with directory() as state:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadtest", "run", "--profile", "smoke"),
            *("--state-dir", str(state / "state"), "--out", str(state / "out")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(LIMIT):
            output, _ = await process.communicate()
        text = output.decode()
        assert process.returncode in {0, 99}, text

        dashboard, stress = (record.read(state / "out" / name) for name in definition().tests)

        # Times depend on who else uses the machine, and with them the verdict; not its honesty.
        assert (process.returncode == 0) == (dashboard.passed and stress.passed)
        the_dashboard_was_used(dashboard)
        the_api_was_stressed(stress)
        every_threshold_was_judged(dashboard, stress)
        the_reports_are_there(state / "out" / "dashboard")
        assert "P95 API response time" in text
        assert re.search(r"100% .*done", text)
        await a_small_crowd_is_held(state)


async def a_small_crowd_is_held(state: Path) -> None:
    file = state / "crowd.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.crowd", "--users", "300", "--live", "0.1"),
        *("--ramp", "3", "--hold", "6", "--think", "1"),
        *("--state-dir", str(state / "state"), "--out", str(file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(LIMIT):
        output, _ = await process.communicate()

    result = msgspec.json.decode(file.read_bytes(), type=Result)
    assert process.returncode == (0 if result.well else 99), output.decode()
    assert (result.held, result.listening) == (300, 30)
    assert set(result.kinds) <= {"status 503", "status 504", "status 207"}
    assert result.errors <= result.requests * MOST_BUSY
    # 270 users that think for a second, during six.
    assert result.requests > 600
    assert 0 < result.cached < result.requests
    assert {"client", "gateway", "hub and database"} == set(result.costs)
    assert all(cost.resident_bytes > 2**20 for cost in result.costs.values())
    assert result.gateway is not None
    assert result.gateway.connections_open >= 300


def nearly_all_was_answered(run: record.Run) -> None:
    """On a machine that is busy with more, the hub may have to say so; nothing else may fail."""
    assert {each.what for each in run.failures} <= {"status 503", "status 504"}
    assert run.failed <= run.total.count * MOST_BUSY


def the_dashboard_was_used(run: record.Run) -> None:
    nearly_all_was_answered(run)
    endpoints = {each.name: each for each in run.endpoints}
    assert {"dashboard", "asset", "/api/organizations"} <= set(endpoints)
    together = endpoints["insight.getIssues+autopilot.getRuns+guardian.getTests"]
    assert together.hit_rate is not None
    words = {each.name: each.times.count for each in run.words}
    assert words["HIT"] > words["MISS"] > 0
    assert words["BYPASS"] > 0
    assert run.metrics["realtime_connect_time"]["count"] > 0
    assert run.metrics["page_load_time"]["count"] > 50
    assert run.gateway is not None
    # The gateway's word against ours; it also counts logins and what came after the end.
    assert run.gateway.requests >= run.total.count
    assert run.gateway.resident_bytes is not None
    assert run.slowest_query is not None
    assert run.slowest_query.p95_ms > 0
    assert run.delivery is not None
    assert run.delivery.plain_bytes > 10_000


def the_api_was_stressed(run: record.Run) -> None:
    nearly_all_was_answered(run)
    assert {each.name for each in run.endpoints} == set(definition().test("api_stress").endpoints)
    planned = 15 * 30
    assert run.total.count + run.dropped > planned


def every_threshold_was_judged(*runs: record.Run) -> None:
    for run in runs:
        asked = options_for(run.test, run.profile)["thresholds"]
        judged = {(each.metric, each.expression) for each in run.thresholds}
        assert judged == {(name, each) for name, every in asked.items() for each in every}


def the_reports_are_there(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    summary = json.loads((folder / "dashboard-summary.json").read_text())
    assert page.count("<svg") == 3
    assert "By the word in X-Cache" in page
    assert summary["metrics"]["http_req_duration"]["values"]["count"] > 0
    assert "Thresholds" in (folder / "dashboard-summary.html").read_text()
    # Nothing of the samples themselves is kept.
    assert sum(file.stat().st_size for file in folder.iterdir()) < 500_000


async def test_a_gateway_that_is_not_there_is_told_in_words() -> None:
    with directory() as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadtest", "run", "dashboard", "--profile", "smoke"),
            *("--base", "http://127.0.0.1:9", "--out", str(out)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(LIMIT):
            _, errors = await process.communicate()

    text = errors.decode()
    assert process.returncode == 1
    assert "ada@acme.test can't log in at http://127.0.0.1:9" in text
    assert "asyncio" not in text
