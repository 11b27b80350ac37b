"""The description of the API: complete, and true of what the hub answers."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.upstream.world import Client, cookies_of
from upstream.handlers.mutations import MUTATIONS
from upstream.handlers.procedures import PROCEDURES

_CONFIG = Path(__file__).with_name("schemathesis.toml")
_LIMIT = 240.0
"""Seconds; it takes ten on an idle machine."""
_NOT_CALLED = ("logout", "events", "webSocket")
"""The first would end the session that all others need, the others never end."""


async def described(client: Client) -> Any:
    return await (await client.get("/api/openapi.json")).json()


async def test_the_description_may_be_kept_like_the_documentation(anyone: Client) -> None:
    reply = await anyone.get("/api/openapi.json")

    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert reply.headers["Cache-Control"] == "public, s-maxage=1800, stale-while-revalidate=86400"
    assert (await reply.json())["openapi"] == "3.1.0"


async def test_every_route_of_the_api_is_described_and_nothing_else(anyone: Client) -> None:
    routes = {
        (route.method, re.sub(r"\{id:[^}]*\}*", "{id}", route.resource.canonical))
        for route in anyone.app.router.routes()
        if route.resource is not None
        and route.resource.canonical.startswith(("/api/", "/.well-known/"))
        and route.method not in {"HEAD", "*"}
    }
    procedures = {("GET", f"/api/trpc/{name}") for name in PROCEDURES}
    procedures |= {("POST", f"/api/trpc/{name}") for name in MUTATIONS}
    batch = {("GET", "/api/trpc/{procedures}")}

    paths = (await described(anyone))["paths"]

    found = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert found == routes | procedures | batch


async def test_what_the_description_refers_to_is_there(anyone: Client) -> None:
    document = await described(anyone)

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            below = set().union(*map(references, value.values()))
            return below | ({value["$ref"]} if "$ref" in value else set())
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known
    names = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert len(set(names)) == len(names)


async def test_the_hub_answers_as_described_whatever_it_is_sent(
    ada: Client, tmp_path: Path
) -> None:
    """Thousands of requests, right and wrong, made up from the description.

    `positive_data_acceptance` is left out: a cursor, a signature or a credential that merely
    looks right is refused, which a description can't express.
    """
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(_CONFIG), "run"),
        str(ada.make_url("/api/openapi.json")),
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "12", "--seed", "20261124"),
        *("--generation-database", "none", "--no-color", "--continue-on-failure"),
        *(word for name in _NOT_CALLED for word in ("--exclude-operation-id", name)),
    ]
    session = cookies_of(ada)["session_token"].value
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=tmp_path,
        env=os.environ | {"HUB_SESSION": session},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _LIMIT)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    text = output.decode(errors="replace")
    assert process.returncode == 0, text
    counted = re.search(r"([\d,]+) generated", text)
    assert counted is not None, text
    assert int(counted[1].replace(",", "")) > 800, text


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/projects?page=null", "page"),
        ("/api/projects?since=0.5", "since"),
        ("/api/projects?page=1&page=2", "page"),
        ("/api/projects?colour=red", "colour"),
        ("/api/projects?search=%00", "search"),
        ("/api/projects?search=", "search"),
        ("/api/organizations?limit=101", "limit"),
        ("/api/organizations?cursor=x&page=1", "cursor"),
        ("/api/trpc/insight.getIssues?batch=2", "batch"),
        ("/api/trpc/insight.getIssues?input=%7B%7D&input=%7B%7D", "input"),
        ('/api/trpc/insight.getIssues?input={"since":"yesterday"}', "since"),
        ('/api/trpc/insight.getIssues?input={"since":"2026-01-01T00:00:00"}', "since"),
        ('/api/trpc/insight.getIssues?input={"search":"%5Cu0000"}', "search"),
        ('/api/trpc/autopilot.getRuns?input={"trigger":"magic"}', "trigger"),
    ],
)
async def test_a_query_that_cant_be_meant_is_refused_with_its_field(
    ada: Client, path: str, field: str
) -> None:
    reply = await ada.get(path)

    assert reply.status == 400
    error = (await reply.json())["error"]
    assert (error.get("field") or error["data"]["field"]) == field
