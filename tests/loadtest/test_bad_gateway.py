"""A gateway that is slow and fails: the load test has to say so."""

import asyncio
import sys
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from loadtest import record

SLOW = 0.7
"""Seconds for every fifth answer: above the limit for 95 of 100, below that for 99."""
LIMIT = 120.0


def bad_gateway() -> web.Application:
    async def log_in(_request: web.Request) -> web.Response:
        response = web.json_response({"user": {"id": 1}})
        response.set_cookie("session_token", "a")
        return response

    async def projects(_request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": 1, "name": "One"}]})

    async def health(_request: web.Request) -> web.Response:
        await asyncio.sleep(SLOW)
        return web.json_response({"status": "ok"}, headers={"X-Cache": "BYPASS"})

    async def call(request: web.Request) -> web.Response:
        if request.match_info["name"] == "guardian.getTests":
            return web.json_response({"error": "busy"}, status=503, headers={"X-Cache": "MISS"})
        return web.json_response({"result": "none"}, headers={"X-Cache": "HIT"})

    app = web.Application()
    app.router.add_post("/api/auth/login", log_in)
    app.router.add_get("/api/projects", projects)
    app.router.add_get("/api/health", health)
    app.router.add_get("/api/trpc/{name}", call)
    return app


async def test_slow_and_failing_answers_break_the_thresholds_they_should(tmp_path: Path) -> None:
    async with TestServer(bad_gateway()) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "loadtest", "run", "api_stress", "--profile", "smoke"),
            *("--base", str(server.make_url("/")), "--out", str(tmp_path)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(LIMIT):
            output, _ = await process.communicate()

    text = output.decode()
    run = record.read(tmp_path)
    broken = {(each.metric, each.expression) for each in run.thresholds if not each.holds}
    assert process.returncode == 99, text
    assert broken >= {
        ("api_duration", "p(95)<500"),
        ("http_req_failed", "rate<0.02"),
        ("error_rate", "rate<0.05"),
    }
    assert "BROKEN  api_duration: p(95)<500" in text
    assert [(each.endpoint, each.what) for each in run.failures] == [
        ("/api/trpc/guardian.getTests", "status 503")
    ]
    assert run.failures[0].count == run.failed
    endpoints = {each.name: each for each in run.endpoints}
    assert endpoints["/api/health"].times.p50 > SLOW * 1000 * 0.9
    assert endpoints["/api/trpc/insight.getIssues"].hit_rate == 1.0
    # Nobody could read the gateway's own metrics, so nothing is said about them.
    assert run.gateway is None
    assert '<td class="bad">broken' in (tmp_path / "report.html").read_text()
