"""The admin port as browsers, probes and Prometheus meet it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest
from aiohttp import ClientSession

from gateway.control import addresses, totals
from gateway.control.admin import Admin, Readiness, Stage
from gateway.control.metrics import Facts
from gateway.errors import ConfigurationError


class Standing:
    """A supervisor that stands still."""

    def __init__(self) -> None:
        self.stage = Stage.SERVING
        self.broken = False
        self.reloads = 0
        self.refusal: str | None = None

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
    assert set(msgspec.json.decode(body)["pages"]) == {"healthz", "readyz", "metrics", "-/reload"}


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
