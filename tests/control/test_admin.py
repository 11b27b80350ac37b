"""The admin port as browsers, probes and Prometheus meet it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from gateway.cli.serve import judge
from gateway.control import addresses, totals
from gateway.control.admin import Admin, Readiness, Stage
from gateway.control.channel import Settings
from gateway.control.editor import Editor
from gateway.control.explain import Question
from gateway.control.explaining import StoredIn
from gateway.control.history import History
from gateway.control.metrics import Facts
from gateway.control.purging import Receipt, WorkerReceipt
from gateway.control.rules_file import RulesFile
from gateway.counters import Reading
from gateway.edge.insight import Looked
from gateway.errors import ConfigurationError
from gateway.storage.purges import Kind, Mode, Purge


class Standing:
    """A supervisor that stands still."""

    def __init__(self, folder: Path = Path()) -> None:
        """Its rules are those of *folder*, which only the tests of changing them need."""
        self.history = History()
        settings = Settings(str(folder / "rules.yaml"), b"", state_dir=str(folder / "state"))
        self.rules = RulesFile(settings, judge)
        self.editor = Editor(self.rules, self.take_rules)
        self.counts = totals.nothing()
        self.looked = Looked()
        self.stage = Stage.SERVING
        self.broken = False
        self.reloads = 0
        self.refusal: str | None = None
        self.purged: list[Purge] = []
        self.hears = True

    async def take_rules(self) -> bool:
        settings = await self.rules.load_again(force=True)
        if self.refusal is not None:
            raise ConfigurationError(self.refusal)
        assert settings is not None
        self.rules.in_force = settings
        self.rules.taken()
        return True

    async def reading(self) -> Reading:
        return self.counts

    async def look(self, most: int) -> Looked:
        assert most > 0
        return self.looked

    def standing(self) -> tuple[int, int, float, str | None]:
        return 2, 0, 1_700_000_000.0, None

    def readiness(self) -> Readiness:
        ready = self.stage is Stage.SERVING
        return Readiness(ready, self.stage, [], 0, "rules.yaml", datetime(2026, 1, 1, tzinfo=UTC))

    async def facts(self) -> Facts:
        if self.broken:
            raise RuntimeError("no counts today")
        return Facts(totals.nothing(), 1, 0, 0.0)

    async def reload(self) -> bool:
        self.reloads += 1
        if self.refusal is not None:
            raise ConfigurationError(self.refusal)
        return True

    async def explain(self, question: Question) -> dict[str, Any]:
        asked = [question.method, question.target, list(question.fields)]
        explanation = {
            "request": {"target": question.target},
            "route": {"name": "pages"},
            "asks_cache": True,
        }
        stored = [StoredIn("worker 1", answered=True, variants=[])]
        return {"asked": asked, "explanation": explanation, "workers": stored}

    async def purge(self, purges: list[Purge]) -> Receipt:
        self.purged += purges
        receipts = [WorkerReceipt("worker 1", applied=self.hears, ms=1.0)]
        return Receipt(self.hears, len(purges), purges[0].mode, receipts, 1.0)


@pytest.fixture
def standing() -> Standing:
    return Standing()


@pytest.fixture
async def url(standing: Standing) -> AsyncIterator[str]:
    listening = addresses.listen(addresses.Address("127.0.0.1", 0), flag="--admin")
    address = addresses.bound(listening)
    admin = Admin(standing, address)
    await admin.start(listening)
    yield f"http://{address}"
    await admin.close()


async def answer(
    url: str, *, method: str = "GET", host: str | None = None, origin: str | None = None
) -> tuple[int, str, dict[str, str]]:
    headers = {"Host": host} if host else {}
    if origin is not None:
        headers["Origin"] = origin
    async with (
        ClientSession() as session,
        session.request(method, url, headers=headers) as response,
    ):
        return response.status, await response.text(), dict(response.headers)


@pytest.mark.parametrize(
    ("stage", "status"), [(Stage.STARTING, 503), (Stage.SERVING, 200), (Stage.DRAINING, 503)]
)
async def test_readiness_follows_the_stage_and_health_does_not(
    url: str, standing: Standing, stage: Stage, status: int
) -> None:
    standing.stage = stage

    assert (await answer(f"{url}/readyz"))[0] == status
    assert (await answer(f"{url}/healthz"))[0] == 200


async def test_the_index_names_every_page(url: str) -> None:
    status, body, headers = await answer(f"{url}/")

    assert status == 200
    assert headers["Content-Type"].startswith("application/json")
    named = {
        "healthz",
        "readyz",
        "metrics",
        "-/reload",
        "-/purge",
        "-/explain",
        "-/api/",
        "console/",
    }
    assert set(msgspec.json.decode(body)["pages"]) == named


async def test_metrics_come_as_prometheus_text(url: str) -> None:
    status, body, headers = await answer(f"{url}/metrics")

    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert "gateway_workers 1.0" in body


async def test_an_unknown_page_is_a_404_in_json(url: str) -> None:
    status, body, _ = await answer(f"{url}/nothing")

    assert status == 404
    assert "there is no page /nothing" in msgspec.json.decode(body)["error"]


async def test_a_method_that_is_not_taken_is_told_which_are(url: str) -> None:
    status, body, headers = await answer(f"{url}/metrics", method="POST")

    assert status == 405
    assert headers["Allow"] == "GET,HEAD"
    assert "does not take POST" in body


@pytest.mark.parametrize("host", ["localhost:8081", "127.0.0.1", "[::1]:8081", "LOCALHOST"])
async def test_names_of_this_machine_are_answered(url: str, host: str) -> None:
    assert (await answer(f"{url}/healthz", host=host))[0] == 200


@pytest.mark.parametrize("host", ["evil.test", "evil.test:8081", "127.0.0.1.evil.test", "[::2]"])
async def test_a_page_of_another_site_that_rebinds_its_name_reads_nothing(
    url: str, host: str
) -> None:
    status, body, _ = await answer(f"{url}/metrics", host=host)

    assert status == 403
    assert "gateway_" not in body


async def test_a_failure_is_logged_and_not_shown(
    url: str, standing: Standing, caplog: pytest.LogCaptureFixture
) -> None:
    standing.broken = True
    status, body, _ = await answer(f"{url}/metrics")

    assert status == 500
    assert "no counts today" not in body
    assert "no counts today" in caplog.text


async def test_rules_are_reloaded_by_a_post(url: str, standing: Standing) -> None:
    status, body, _ = await answer(f"{url}/-/reload", method="POST")

    assert (status, msgspec.json.decode(body)) == (200, {"reloaded": True})
    assert standing.reloads == 1


async def test_rules_that_cannot_be_used_are_told_to_whoever_posts(
    url: str, standing: Standing
) -> None:
    standing.refusal = "rules.yaml:3:1: error: no"

    status, body, _ = await answer(f"{url}/-/reload", method="POST")

    assert (status, msgspec.json.decode(body)) == (422, {"error": standing.refusal})


async def test_no_page_in_a_browser_may_reload_the_rules(url: str, standing: Standing) -> None:
    status, _, _ = await answer(f"{url}/-/reload", method="POST", origin="http://evil.test")

    assert status == 403
    assert standing.reloads == 0


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"url": "/a?b=1"}, [Purge(Kind.URL, b"/a?b=1")], id="url"),
        pytest.param(
            {"url": ["/a", "http://Hub.test/b"], "hard": True},
            [
                Purge(Kind.URL, b"/a", b"", Mode.HARD),
                Purge(Kind.URL, b"/b", b"hub.test", Mode.HARD),
            ],
            id="urls-hard",
        ),
        pytest.param({"prefix": "/blog/"}, [Purge(Kind.PREFIX, b"/blog/")], id="prefix"),
        pytest.param(
            {"pattern": "/*.css", "host": "hub.test"},
            [Purge(Kind.PATTERN, b"/*.css", b"hub.test")],
            id="pattern-of-host",
        ),
        pytest.param(
            {"groups": ["a", "b"], "mode": "validate"},
            [Purge(Kind.GROUP, each, b"", Mode.VALIDATE) for each in (b"a", b"b")],
            id="groups",
        ),
        pytest.param({"route": "lists"}, [Purge(Kind.ROUTE, b"lists")], id="route"),
        pytest.param({"host": "Hub.test"}, [Purge(Kind.HOST, b"hub.test")], id="host"),
        pytest.param({"all": True, "confirm": "all"}, [Purge(Kind.ALL)], id="all"),
    ],
)
async def test_what_a_body_names_is_purged(
    standing: Standing, url: str, body: object, expected: list[Purge]
) -> None:
    async with ClientSession() as client, client.post(f"{url}/-/purge", json=body) as answer:
        assert answer.status == 200
        assert (await answer.json())["applied"] is True
    assert standing.purged == expected


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("{}", "name one of", id="nothing"),
        pytest.param('{"url": "/a", "group": "b"}', "name one of", id="two"),
        pytest.param('{"all": true}', '"confirm": "all"', id="all-unconfirmed"),
        pytest.param('{"all": true, "confirm": "all", "host": "a"}', "nothing else", id="all-host"),
        pytest.param('{"url": "a"}', "neither a path", id="no-path"),
        pytest.param('{"url": "/a/../b"}', "/a/../b", id="dots"),
        pytest.param('{"grop": "a"}', "grop", id="unknown"),
        pytest.param('{"group": ""}', "1 to", id="empty"),
        pytest.param('{"mode": "softly", "url": "/a"}', "softly", id="mode"),
        pytest.param("{", "JSON", id="no-json"),
    ],
)
async def test_a_body_that_names_nothing_purges_nothing(
    standing: Standing, url: str, body: str, said: str
) -> None:
    async with ClientSession() as client, client.post(f"{url}/-/purge", data=body) as answer:
        assert answer.status == 400
        assert said in (await answer.json())["error"]
    assert standing.purged == []


async def test_no_page_may_purge(standing: Standing, url: str) -> None:
    headers = {"Origin": "http://elsewhere.test"}
    body = {"all": True, "confirm": "all"}
    async with (
        ClientSession() as client,
        client.post(f"{url}/-/purge", json=body, headers=headers) as answer,
    ):
        assert answer.status == 403
    assert standing.purged == []


async def test_a_purge_that_a_worker_did_not_hear_of_is_only_accepted(
    standing: Standing, url: str
) -> None:
    standing.hears = False
    async with ClientSession() as client, client.post(f"{url}/-/purge", json={"url": "/"}) as got:
        assert got.status == 202
        assert (await got.json())["workers"] == [{"name": "worker 1", "applied": False, "ms": 1.0}]


async def test_an_explanation_is_asked_for_with_the_fields_of_a_request(url: str) -> None:
    query = "method=HEAD&target=/blog/a%3Fb=1&header=Accept:%20text/html&header=X-A:b&as=org%3Da"
    status, body, _ = await answer(f"{url}/-/explain?{query}")

    assert status == 200
    asked = msgspec.json.decode(body)["asked"]
    assert asked == ["HEAD", "/blog/a?b=1", [["Accept", "text/html"], ["X-A", "b"]]]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("target=blog", "target has to be a path"),
        ("target=/a&status=999", "status has to be from 200 to 599"),
        ("target=/a&header=nothing", "Name: value"),
        ("target=/a&as=admin", "org=NAME or user=NAME"),
        ("target=/a&metod=GET", "there is no parameter"),
        ("target=/a&method=G%20T", "method has to be"),
    ],
)
async def test_a_question_that_makes_no_sense_is_explained(url: str, query: str, told: str) -> None:
    status, body, _ = await answer(f"{url}/-/explain?{query}")

    assert status == 400
    assert told in msgspec.json.decode(body)["error"]


TOKEN = "a-token-of-more-than-16-characters"


@pytest.fixture
async def elsewhere(standing: Standing) -> AsyncIterator[str]:
    """Lend an admin port that takes itself for one that others can reach."""
    listening = addresses.listen(addresses.Address("127.0.0.1", 0), flag="--admin")
    admin = Admin(standing, addresses.Address("0.0.0.0", 8081), TOKEN)
    await admin.start(listening)
    yield f"http://{addresses.bound(listening)}"
    await admin.close()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_and_metrics_need_no_token(elsewhere: str, path: str) -> None:
    status, _, _ = await answer(f"{elsewhere}{path}")

    assert status == 200


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param(None, 401, id="none"),
        pytest.param(f"Bearer {TOKEN}", 200, id="right"),
        pytest.param(f"bearer  {TOKEN} ", 200, id="spelled-otherwise"),
        pytest.param(f"Bearer {TOKEN}x", 401, id="longer"),
        pytest.param(f"Bearer {TOKEN[:-1]}", 401, id="shorter"),
        pytest.param(f"Basic {TOKEN}", 401, id="another-scheme"),
    ],
)
async def test_beyond_loopback_changes_ask_for_the_token(
    standing: Standing, elsewhere: str, authorization: str | None, status: int
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with ClientSession() as client:
        async with client.post(f"{elsewhere}/-/reload", headers=headers) as reloaded:
            assert reloaded.status == status
        body = {"url": "/a"}
        async with client.post(f"{elsewhere}/-/purge", json=body, headers=headers) as purged:
            assert purged.status == status
    assert standing.reloads == len(standing.purged) == (status == 200)


async def test_without_a_token_nobody_changes_anything_beyond_loopback(
    standing: Standing,
) -> None:
    listening = addresses.listen(addresses.Address("127.0.0.1", 0), flag="--admin")
    admin = Admin(standing, addresses.Address("0.0.0.0", 8081), None)
    await admin.start(listening)
    url = f"http://{addresses.bound(listening)}/-/reload"
    async with ClientSession() as client, client.post(url) as refused:
        assert refused.status == 403
        assert "GATEWAY_ADMIN_TOKEN" in (await refused.json())["error"]
    await admin.close()
    assert standing.reloads == 0
