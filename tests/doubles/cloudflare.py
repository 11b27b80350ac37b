"""Cloudflare's API, as documented, as far as purging and zone analytics go.

It checks who calls, what is asked for and how often, and answers as the real one does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

ZONE = "023e105f4ecef8ad9ca31a8372d0c353"
TOKEN = "cf-token-that-nobody-may-see"
_KINDS = {"files", "tags", "prefixes", "hosts"}
_MOST = 100


def _said(status: int, *errors: tuple[int, str], **headers: str) -> web.Response:
    told = {
        "success": not errors,
        "errors": [{"code": code, "message": message} for code, message in errors],
        "messages": [],
        "result": None if errors else {"id": ZONE},
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(told, status=status, headers=named)


@dataclass(slots=True)
class FakeCloudflare:
    """One account with one zone."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of the purges that were accepted."""
    tries: int = 0
    troubles: list[web.Response | str] = field(default_factory=list)
    """What the next calls get instead; a text breaks the connection."""
    groups: list[dict[str, int]] = field(default_factory=list)
    asked: dict[str, Any] = field(default_factory=dict)
    """The variables of the last analytics query."""
    api: str = ""

    async def purge(self, request: web.Request) -> web.Response:
        trouble = await self._trouble(request)
        if trouble is not None:
            return trouble
        if request.match_info["zone"] != ZONE:
            return _said(404, (7003, "Could not route to the zone, perhaps it is invalid"))
        body = await request.json()
        if body == {"purge_everything": True}:
            self.calls.append(body)
            return _said(200)
        if len(body) != 1 or not set(body) <= _KINDS:
            return _said(400, (1012, "Request must contain one of the parameters"))
        (values,) = body.values()
        if not isinstance(values, list) or not 0 < len(values) <= _MOST:
            return _said(400, (1134, "Unable to purge, rate limit or size exceeded"))
        self.calls.append(body)
        return _said(200)

    async def graphql(self, request: web.Request) -> web.Response:
        trouble = await self._trouble(request)
        if trouble is not None:
            return trouble
        body = await request.json()
        if "httpRequests1hGroups" not in body["query"] or "zoneTag" not in body["query"]:
            return web.json_response({"data": None, "errors": [{"message": "unknown field"}]})
        self.asked = body["variables"]
        zones = [{"httpRequests1hGroups": [{"sum": each} for each in self.groups]}]
        mine = zones if self.asked["zone"] == ZONE else []
        return web.json_response({"data": {"viewer": {"zones": mine}}, "errors": None})

    async def _trouble(self, request: web.Request) -> web.Response | None:
        self.tries += 1
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            sent = request.headers.get("Authorization", "")
            return _said(403, (9109, f"Invalid access token {sent.removeprefix('Bearer ')}"))
        if not self.troubles:
            return None
        trouble = self.troubles.pop(0)
        if isinstance(trouble, str):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return trouble


def too_soon(seconds: str) -> web.Response:
    return _said(429, (971, "Please wait and consider throttling your request rate"),
                 Retry_After=seconds)  # fmt: skip


def down() -> web.Response:
    return web.Response(status=502, text="<html>bad gateway</html>", content_type="text/html")


@asynccontextmanager
async def fake_cloudflare() -> AsyncIterator[FakeCloudflare]:
    """Run it on a port of its own."""
    fake = FakeCloudflare()
    application = web.Application()
    application.router.add_post("/client/v4/zones/{zone}/purge_cache", fake.purge)
    application.router.add_post("/client/v4/graphql", fake.graphql)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.api = f"http://{host}:{port}/client/v4"
    try:
        yield fake
    finally:
        await runner.cleanup()
