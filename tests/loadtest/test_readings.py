"""What is read from pages of metrics, and the settings and charts beside it."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from loadtest import readings
from loadtest.charts import Line, chart
from loadtest.definition import DefinitionError
from loadtest.engine import K6_PLACE
from loadtest.readings import Reading, Unreadable
from loadtest.settings import Settings

BEFORE = """
# TYPE gateway_requests_total counter
gateway_requests_total{route="docs",cache="HIT",status_class="2xx"} 10
gateway_requests_total{route="lists",cache="MISS",status_class="2xx"} 5
# TYPE gateway_origin_response_seconds histogram
gateway_origin_response_seconds_bucket{origin="hub",le="0.1"} 4
gateway_origin_response_seconds_bucket{origin="hub",le="0.2"} 5
gateway_origin_response_seconds_bucket{origin="hub",le="+Inf"} 5
gateway_origin_response_seconds_sum{origin="hub"} 1
gateway_origin_response_seconds_count{origin="hub"} 5
"""
AFTER = """
# TYPE gateway_requests_total counter
gateway_requests_total{route="docs",cache="HIT",status_class="2xx"} 40
gateway_requests_total{route="docs",cache="MISS",status_class="2xx"} 10
gateway_requests_total{route="lists",cache="MISS",status_class="2xx"} 25
# TYPE gateway_connections_open gauge
gateway_connections_open 7
# TYPE gateway_origin_response_seconds histogram
gateway_origin_response_seconds_bucket{origin="hub",le="0.1"} 54
gateway_origin_response_seconds_bucket{origin="hub",le="0.2"} 105
gateway_origin_response_seconds_bucket{origin="hub",le="+Inf"} 105
gateway_origin_response_seconds_sum{origin="hub"} 12
gateway_origin_response_seconds_count{origin="hub"} 105
"""


async def read(*pages: str) -> list[Reading]:
    """Serve *pages* one after another, and read each."""
    left = list(pages)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(text=left.pop(0), content_type="text/plain")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    async with TestServer(app) as server:
        url = str(server.make_url("/metrics"))
        return [await asyncio.to_thread(readings.read, url) for _ in pages]


async def test_only_what_happened_in_between_counts() -> None:
    before, after = await read(BEFORE, AFTER)

    reading = readings.gateway(before, after, None)

    assert reading.requests == 60
    assert reading.origin_requests == 100
    assert reading.connections_open == 7
    # 30 of the 40 requests for routes that a CDN keeps; the lists are an organisation's own.
    assert reading.public_hit_rate == 0.75
    assert reading.resident_bytes is None


async def test_a_quantile_lies_inside_its_bucket() -> None:
    before, after = await read(BEFORE, AFTER)
    grown = after.since(before)
    name = "gateway_origin_response_seconds"

    # Of the 100 new ones, 50 took up to 0.1 s and 50 up to 0.2 s.
    assert grown.quantile(name, 0.5) == pytest.approx(0.1)
    assert grown.quantile(name, 0.95) == pytest.approx(0.19)
    assert grown.quantile("nothing", 0.95) is None
    assert before.since(before).quantile(name, 0.95) is None


def queries(**counts: tuple[int, float]) -> str:
    """Return the hub's page: for each query how often it ran, and its P95 in seconds."""
    lines = ["# TYPE hub_db_query_seconds summary"]
    for name, (count, _) in counts.items():
        lines.append(f'hub_db_query_seconds_count{{query="{name}",type="SELECT"}} {count}')
    lines.append("# TYPE hub_db_query_quantile_seconds gauge")
    for name, (_, p95) in counts.items():
        labels = f'query="{name}",type="SELECT"'
        lines.append(f'hub_db_query_quantile_seconds{{{labels},quantile="0.5"}} 9')
        lines.append(f'hub_db_query_quantile_seconds{{{labels},quantile="0.95"}} {p95}')
    return "\n".join(lines) + "\n"


async def test_the_slowest_query_is_one_that_ran_often() -> None:
    before, after = await read(
        queries(issues=(10, 0.01), runs=(5, 0.02), old=(900, 0.9)),
        queries(issues=(500, 0.012), runs=(300, 0.03), old=(900, 0.9), rare=(3, 0.5)),
    )

    slowest = readings.slowest_query(before, after)

    assert slowest is not None
    assert (slowest.name, slowest.count) == ("runs", 295)
    assert slowest.p95_ms == pytest.approx(30)
    assert readings.slowest_query(after, after) is None


async def test_a_page_that_is_not_there_is_told() -> None:
    with pytest.raises(Unreadable, match=r"127\.0\.0\.1:9"):
        await asyncio.to_thread(readings.read, "http://127.0.0.1:9/metrics")


def test_settings_come_from_the_environment() -> None:
    settings = Settings.read(
        {"BASE": "http://h:1/", "PROFILE": "smoke", "SCALE": "2.5", "OUT": "o"}
    )

    assert settings == Settings("http://h:1", "smoke", 2.5, Path("o"))


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        pytest.param({"BASE": "h:1"}, "BASE: expected http://HOST:PORT", id="base"),
        pytest.param({"PROFILE": "big"}, "no profile 'big'", id="profile"),
        pytest.param({"SCALE": "0"}, "SCALE: expected a number above 0", id="nothing"),
        pytest.param({"SCALE": "much"}, "SCALE: expected a number above 0", id="words"),
    ],
)
def test_a_wrong_setting_is_told_by_its_name(environ: dict[str, str], told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        Settings.read(environ)


def test_a_chart_draws_the_highest_of_what_shares_a_pixel() -> None:
    values = [1.0] * 10_000
    values[5_003] = 90.0

    drawn = chart([Line("p99", "red", values)], "ms")

    assert drawn.count(",") < 1_000
    # The top of the scale is 100, so that the peak is a tenth below the upper edge.
    assert f",{12 + 200 * 0.1:.1f}" in drawn


def test_a_chart_of_nothing_is_an_empty_one() -> None:
    assert "<svg" in chart([Line("p99", "red", [])], "ms")


def test_make_builds_k6_where_it_is_looked_for() -> None:
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text()

    assert "/".join(K6_PLACE.parts[-3:]) == ".state/bin/k6"
    assert "\n.state/bin/k6:\n" in makefile
