"""The admin port's REST interface: what it says, what it changes, and for whom."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from aiohttp import ClientSession

from gateway.control import addresses, description
from gateway.control.admin import Admin
from gateway.control.editor import version_of
from gateway.counters import Counters
from gateway.edge.insight import Failure, Key, Looked, Uncached
from tests.control.test_admin import TOKEN, Standing

RULES = """\
version: 1
origins: {hub: {servers: ["http://127.0.0.1:3000"]}}
routes:
  - {name: pages, match: {path: /pages/*}, cache: {ttl: 10s, scope: public}}
tests:
  - {request: GET /pages/a, expect: {route: pages}}
"""
CHANGED = RULES.replace("10s", "5m")
BROKEN = RULES.replace("ttl", "tll")


@pytest.fixture
def standing(tmp_path: Path) -> Standing:
    (tmp_path / "rules.yaml").write_text(RULES)
    found = Standing(tmp_path)
    found.rules.in_force = msgspec.structs.replace(
        found.rules.in_force, rules_text=RULES.encode(), included={}
    )
    counters = Counters()
    counters.requests["pages", "HIT", 2] = 30
    counters.requests["pages", "MISS", 2] = 9
    counters.requests["pages", "MISS", 5] = 1
    counters.limited["pages"] = 4
    counters.origin_latency["hub"].observe(0.003)
    counters.origin_failures["hub"]["origin-hung-up"] = 2
    counters.endpoints_up = {"hub": {"127.0.0.1:3000": 2}}
    found.counts = counters.reading()
    found.looked = Looked(
        [Key("h/a", "pages", 30, 1, 3000), Key("h/b", "pages", 2, 8, 90_000)],
        [Uncached("h/c", "pages", "no-store", 7)],
        [Failure(1_700_000_000.0, "GET", "h/d", "pages", "hub", 502, "origin-hung-up")],
    )
    return found


@pytest.fixture(params=[TOKEN], ids=["token"])
async def url(request: pytest.FixtureRequest, standing: Standing) -> AsyncIterator[str]:
    listening = addresses.listen(addresses.Address("127.0.0.1", 0), flag="--admin")
    address = addresses.bound(listening)
    admin = Admin(standing, address, request.param)
    await admin.start(listening)
    yield f"http://{address}"
    await admin.close()


async def ask(
    url: str,
    path: str,
    body: object = None,
    *,
    token: bool = True,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    sent = dict(headers or {})
    if token:
        sent["Authorization"] = f"Bearer {TOKEN}"
    async with ClientSession() as client:
        method = "GET" if body is None else "POST"
        target = f"{url}{path}" if path.startswith("/") else f"{url}/-/api/{path}"
        async with client.request(method, target, headers=sent, json=body) as answer:
            return answer.status, await answer.json()


async def test_figures_are_told_by_route_and_by_origin(url: str) -> None:
    status, told = await ask(url, "stats", token=False)

    assert status == 200
    assert (told["requests"], told["hit_rate"], told["workers"]) == (40, 0.75, 2)
    (route,) = told["routes"]
    assert route["words"] == {"HIT": 30, "MISS": 10}
    assert route["statuses"] == {"2xx": 39, "5xx": 1}
    assert route["limited"] == 4
    (origin,) = told["origins"]
    assert (origin["failures"], origin["endpoints"]) == (
        {"origin-hung-up": 2},
        {"127.0.0.1:3000": 2},
    )
    assert 2.5 <= origin["p95"] <= 5.0


@pytest.mark.parametrize(
    ("by", "urls"),
    [("hits", ["h/a", "h/b"]), ("misses", ["h/b", "h/a"]), ("bytes", ["h/b", "h/a"])],
)
async def test_the_busiest_urls_are_ranked_as_asked(url: str, by: str, urls: list[str]) -> None:
    _, told = await ask(url, f"top?by={by}")

    assert [key["url"] for key in told["keys"]] == urls


async def test_what_isnt_cached_comes_with_its_reason_and_what_would_change_that(url: str) -> None:
    _, told = await ask(url, "uncacheable?limit=5")

    (found,) = told["urls"]
    assert (found["reason"], found["requests"]) == ("no-store", 7)
    assert "override: [no-store]" in found["remedy"]


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("top?by=luck", "by has to be hits, misses or bytes"),
        ("top?limit=0", "limit has to be from 1 to 200"),
        ("uncacheable?limit=many", "limit has to be from 1 to 200"),
    ],
)
async def test_a_question_that_makes_no_sense_is_told_why(
    url: str, path: str, complaint: str
) -> None:
    assert await ask(url, path) == (400, {"error": complaint})


async def test_a_second_is_told_as_it_passes(url: str, standing: Standing) -> None:
    standing.history.add(standing.counts, 1_700_000_000.0)
    async with ClientSession() as client, client.get(f"{url}/-/api/events") as stream:
        more = msgspec.structs.replace(
            standing.counts,
            requests=[
                msgspec.structs.replace(each, requests=each.requests + 10)
                for each in standing.counts.requests
            ],
        )
        line = b""
        while not line.startswith(b"data: "):
            standing.history.add(more, 1_700_000_001.0)
            standing.history.add(standing.counts, 1_700_000_002.0)
            line = await asyncio.wait_for(stream.content.readline(), 10)
    sample = msgspec.json.decode(line[6:])

    assert (sample["requests"], sample["hits"], sample["errors"]) == (30, 10, 10)
    assert sample["routes"] == {"pages": [30, 10]}
    assert (await ask(url, "history"))[1]["samples"][1] == sample


async def test_rules_are_looked_at_line_by_line(url: str) -> None:
    _, good = await ask(url, "rules/check", {"text": CHANGED}, token=False)
    _, bad = await ask(url, "rules/check", {"text": BROKEN}, token=False)

    assert (good["ok"], good["tests"], good["tests_passed"], good["findings"]) == (True, 1, 1, [])
    assert [route["name"] for route in good["routes"]] == ["pages", "default"]
    assert bad["ok"] is False
    (finding,) = bad["findings"]
    assert (finding["line"], finding["column"]) == (4, 52)
    assert "tll" in finding["text"]
    assert finding["hint"] == 'did you mean "ttl"?'


async def test_a_failing_test_of_the_rules_keeps_them_out(url: str) -> None:
    text = RULES.replace("expect: {route: pages}", "expect: {route: default}")

    _, told = await ask(url, "rules/check", {"text": text})
    status, problem = await ask(
        url, "rules/apply", {"text": text, "base": version_of(RULES.encode())}
    )

    assert (told["ok"], told["tests_passed"]) == (False, 0)
    assert status == 422
    assert "rules.yaml:6:" in problem["error"]


async def test_a_proposal_tells_what_would_change(url: str) -> None:
    base = version_of(RULES.encode())
    more = CHANGED.replace("tests:", "  - {name: new, match: {path: /new}, cache: off}\ntests:")

    _, told = await ask(url, "rules/propose", {"text": more, "base": base})

    assert told["check"]["ok"] is True
    assert {
        (each["route"], each["key"], each["before"], each["after"]) for each in told["changes"]
    } == {
        ("pages", "cache.ttl", "10s", "5m"),
        ("new", "route", None, "there"),
    }


async def test_a_change_is_written_taken_into_force_and_rolled_back(
    url: str, standing: Standing, tmp_path: Path
) -> None:
    base = version_of(RULES.encode())

    status, applied = await ask(url, "rules/apply", {"text": CHANGED, "base": base})

    assert (status, applied["previous"]) == (200, base)
    assert (tmp_path / "rules.yaml").read_text() == CHANGED
    assert standing.rules.in_force.rules_text == CHANGED.encode()
    _, written = await ask(url, "rules")
    assert (written["version"], written["in_force"]) == (applied["version"], True)
    _, told = await ask(url, "rules/versions")
    assert [each["version"] for each in told["versions"]] == [base]

    back = {"version": base, "base": applied["version"]}
    assert (await ask(url, "rules/rollback", back))[0] == 200
    assert (tmp_path / "rules.yaml").read_text() == RULES
    assert (await ask(url, "rules/rollback", {"version": "none", "base": base}))[0] == 422


async def test_a_change_of_something_that_has_changed_meanwhile_is_refused(
    url: str, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES + "# by somebody else\n")

    status, told = await ask(
        url, "rules/apply", {"text": CHANGED, "base": version_of(RULES.encode())}
    )

    assert status == 409
    assert "has changed since" in told["error"]
    assert (tmp_path / "rules.yaml").read_text().endswith("somebody else\n")


async def test_rules_that_the_workers_refuse_leave_the_file_as_it_was(
    url: str, standing: Standing, tmp_path: Path
) -> None:
    refusals = iter(["a worker refuses these rules", None])

    async def reload() -> bool:
        standing.refusal = next(refusals)
        return await standing.take_rules()

    standing.editor._reload = reload
    status, told = await ask(
        url, "rules/apply", {"text": CHANGED, "base": version_of(RULES.encode())}
    )

    assert (status, told["error"]) == (422, "a worker refuses these rules")
    assert (tmp_path / "rules.yaml").read_text() == RULES


async def test_a_link_is_never_written_through(url: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").rename(tmp_path / "data.yaml")
    (tmp_path / "rules.yaml").symlink_to(tmp_path / "data.yaml")

    status, told = await ask(
        url, "rules/apply", {"text": CHANGED, "base": version_of(RULES.encode())}
    )

    assert status == 422
    assert "change the rules where it comes from" in told["error"]
    assert (tmp_path / "data.yaml").read_text() == RULES


CHANGES = ["rules/apply", "rules/rollback"]


@pytest.mark.parametrize("path", CHANGES)
async def test_changing_rules_takes_the_token_even_on_loopback(url: str, path: str) -> None:
    body = {"text": CHANGED, "base": "x"}

    assert (await ask(url, path, body, token=False))[0] == 401


@pytest.mark.parametrize("url", [None], indirect=True, ids=["no-token"])
@pytest.mark.parametrize("path", CHANGES)
async def test_without_a_token_nobody_changes_rules_from_afar(url: str, path: str) -> None:
    status, told = await ask(url, path, {"text": CHANGED, "base": "x"}, token=False)

    assert status == 403
    assert "GATEWAY_ADMIN_TOKEN" in told["error"]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": "http://evil.test"}, id="another-origin"),
        pytest.param({"Origin": "null"}, id="an-opaque-origin"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="another-site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, id="a-sibling-port"),
    ],
)
async def test_pages_of_other_sites_change_nothing(url: str, headers: dict[str, str]) -> None:
    body = {"text": CHANGED, "base": version_of(RULES.encode())}

    assert (await ask(url, "rules/apply", body, headers=headers))[0] == 403


async def test_what_a_form_could_send_is_refused(url: str) -> None:
    async with (
        ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as client,
        client.post(f"{url}/-/api/rules/apply", data=b'{"text": "", "base": ""}') as answer,
    ):
        assert answer.status == 415


@pytest.mark.parametrize(
    "body", [{}, {"text": 1, "base": ""}, {"text": "", "base": "", "more": 1}, [], "text"]
)
async def test_a_body_that_says_something_else_is_a_400(url: str, body: object) -> None:
    status, told = await ask(url, "rules/apply", body)

    assert status == 400
    assert told["error"].startswith("the body can't be understood")


async def test_the_description_is_of_what_there_is(url: str) -> None:
    _, described = await ask(url, "openapi.json")
    base = version_of(RULES.encode())
    bodies: dict[str, object] = {
        "/-/api/rules/check": {"text": RULES},
        "/-/api/rules/propose": {"text": CHANGED, "base": base},
        "/-/api/rules/apply": {"text": CHANGED, "base": base},
        "/-/api/rules/rollback": {"version": base, "base": version_of(CHANGED.encode())},
        "/-/purge": {"group": "posts"},
        "/-/reload": {},
    }
    queries = {"/-/api/object": "?target=/pages/a", "/-/explain": "?target=/pages/a"}
    assert {operation.path for operation in description.OPERATIONS} == set(described["paths"])
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if path.endswith("/events"):
                continue
            body = bodies.get(path)
            assert (method == "post") is (body is not None), path
            status, told = await ask(url, path + queries.get(path, ""), body)
            assert status == 200, (path, told)
            content = operation["responses"]["200"]["content"]["application/json"]["schema"]
            jsonschema.validate(told, {**content, "components": described["components"]})


async def test_the_router_has_nothing_that_isnt_described(standing: Standing) -> None:
    admin = Admin(standing, addresses.Address("127.0.0.1", 1))
    application = admin._runner.app
    there = {
        (route.method.lower(), route.resource.canonical)
        for route in application.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/-/")
    }
    described = {(each.method, each.path) for each in description.OPERATIONS}

    assert {each for each in there if each[0] != "head"} == described


async def test_each_route_has_its_policy_and_its_figures(url: str) -> None:
    _, told = await ask(url, "routes", token=False)

    assert [each["policy"]["name"] for each in told["routes"]] == ["pages", "default"]
    assert told["routes"][0]["policy"]["cache"]["ttl"] == 10.0
    assert told["routes"][0]["figures"]["requests"] == 40
    assert told["routes"][1]["figures"] is None


async def test_what_is_stored_for_a_url_is_told_by_worker(url: str) -> None:
    status, told = await ask(url, "object?target=/pages/a", token=False)

    assert (status, told["target"], told["route"]) == (200, "/pages/a", "pages")
    assert told["workers"] == [{"name": "worker 1", "answered": True, "variants": []}]
    assert (await ask(url, "object"))[0] == 400
