"""What is known about queries: fingerprints, percentiles, slow ones with their plans."""

import asyncio
import logging
import re
import socket
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.upstream.world import Client
from upstream import queries
from upstream.app import make_app
from upstream.context import Hub
from upstream.monitoring.datadog import Datadog
from upstream.monitoring.fingerprints import statement
from upstream.monitoring.monitor import Monitor, Origin, Thresholds, origin
from upstream.pool import Pool
from upstream.queries import Query
from upstream.settings import DatabaseAddress, PoolSettings

QUICK = Thresholds(warning=0.05, slow=0.2, summary=0.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT * FROM a WHERE id = 1", "select *  from a where id = 27"),
        ("SELECT 'x'", "SELECT 'it''s'"),
        ("SELECT * FROM a WHERE id IN (1, 2)", "SELECT * FROM a WHERE id IN (1, 2, 3)"),
        ("SELECT * FROM a WHERE id = $1", "SELECT * FROM a WHERE id = 5"),
    ],
)
def test_queries_that_differ_in_constants_alone_are_one(one: str, other: str) -> None:
    assert statement(one).fingerprint == statement(other).fingerprint


def test_queries_that_ask_for_something_else_are_two() -> None:
    assert statement("SELECT a FROM t").fingerprint != statement("SELECT b FROM t").fingerprint


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 1", "SELECT"),
        ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "INSERT"),
        ("UPDATE t SET a = 1", "UPDATE"),
        ("DELETE FROM t", "DELETE"),
        ("LISTEN c", "OTHER"),
        ("SELECT 1; SELECT 2", "OTHER"),
        ("this is no SQL", "OTHER"),
    ],
)
def test_the_type_of_a_statement_is_told(sql: str, kind: str) -> None:
    assert statement(sql).kind == kind


def test_constants_are_not_kept() -> None:
    assert "secret" not in statement("SELECT * FROM t WHERE a = 'secret'").text


def test_percentiles_are_right_within_two_percent() -> None:
    monitor = Monitor(QUICK)
    for millisecond in range(1, 1001):
        monitor.count("SELECT 1", millisecond / 100_000, failed=False)
    totals = monitor.totals()

    assert totals["totalQueries"] == 1000
    for name, value in (("p50Ms", 5.0), ("p95Ms", 9.5), ("p99Ms", 9.9), ("avgMs", 5.005)):
        assert totals[name] == pytest.approx(value, rel=0.02)


def test_errors_and_types_are_counted_apart() -> None:
    monitor = Monitor(QUICK)
    monitor.count("SELECT 1", 0.001, failed=False)
    monitor.count("DELETE FROM t WHERE a = 1", 0.001, failed=True)
    monitor.count("DELETE FROM t WHERE a = 2", 0.001, failed=False)
    totals = monitor.totals()

    assert totals["byType"] == {"DELETE": 2, "SELECT": 1}
    assert (totals["failedQueries"], totals["errorRate"]) == (1, "33.33%")


def test_a_flood_of_kinds_is_bounded() -> None:
    monitor = Monitor(QUICK)
    for number in range(1200):
        monitor.count(f"SELECT c{number} FROM t", 0.001, failed=False)

    assert len(monitor.kinds()) == 1001
    assert monitor.totals()["totalQueries"] == 1200


@pytest.mark.parametrize(
    ("seconds", "level"), [(0.1, logging.WARNING), (0.3, logging.ERROR)], ids=["warning", "slow"]
)
async def test_a_slow_query_is_logged_with_what_it_was_for(
    seconds: float, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = Monitor(QUICK)
    origin.set(Origin("GET /api/projects", "4bf92f"))
    monitor.count(queries.PING.sql, seconds, failed=False)

    (record,) = caplog.records
    assert record.levelno == level
    assert "health.ping" in record.message
    assert "route GET /api/projects, trace 4bf92f" in record.message


async def test_the_plan_of_a_slow_query_is_captured_and_a_write_is_not_done_again(
    database: DatabaseAddress, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = Monitor(Thresholds(warning=0.0, slow=10.0, summary=0.0))
    pool = await Pool.open(database, PoolSettings(min_size=1, max_size=3), monitor.heard)
    async with pool.connection() as connection:
        await connection.execute("CREATE TABLE counted (n int)")
    monitor.plans_by(pool.plan)
    insert = Query("test.insert", "INSERT INTO counted SELECT $1::int FROM pg_sleep(0.01)")
    await pool.fetch(insert, 7)
    await monitor.close()
    rows = await pool.fetchval(Query("test.count", "SELECT count(*) FROM counted"))
    await pool.close()

    known = {each.name: each for each in monitor.kinds()}["test.insert"]
    assert rows == 1
    assert known.plan is not None
    assert known.plan.startswith("Insert on public.counted")
    assert "plan of" in caplog.text
    assert not any(each.statement.text.startswith("EXPLAIN") for each in monitor.kinds())


async def test_a_summary_is_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    monitor = Monitor(Thresholds(summary=0.02))
    monitor.count("SELECT 1", 0.001, failed=False)
    with caplog.at_level(logging.INFO, logger="hub.monitoring"):
        task = asyncio.create_task(monitor.summarise())
        async with asyncio.timeout(10):
            while not caplog.records:  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.01)
        task.cancel()

    assert re.search(r"queries: 1, slow 0\.00%, failed 0\.00%, avg 1\.0 ms", caplog.text)


def test_datadog_is_told_of_each_query() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.settimeout(10)
        exporter = Datadog("127.0.0.1", agent.getsockname()[1])
        monitor = Monitor(QUICK, (exporter,))
        monitor.count(queries.PING.sql, 0.0125, failed=True)
        told = agent.recv(1000) + b"\n" + agent.recv(1000)
        exporter.close()

    assert b"hub.db.query.duration_ms:12.5|d|#type:SELECT,query:health.ping" in told
    assert b"hub.db.query.errors:1|c|#type:SELECT,query:health.ping" in told


async def test_operators_see_the_figures(anyone: Client) -> None:
    await anyone.get("/api/health")
    answer = await anyone.get("/internal/db")
    about = await answer.json()
    page = await (await anyone.get("/internal/db", headers={"Accept": "text/html"})).text()

    assert answer.status == 200
    assert about["health"]["ok"] is True
    assert about["pool"]["maxConnections"] == 5
    assert about["summary"]["totalQueries"] >= 1
    ping = next(each for each in about["queries"] if each["name"] == "health.ping")
    assert ping["type"] == "SELECT"
    assert ping["p99Ms"] > 0
    assert len(about["indexes"]["all"]) > 50
    assert "health.ping" in page


async def test_prometheus_reads_every_figure(anyone: Client) -> None:
    await anyone.get("/api/health")
    text = await (await anyone.get("/metrics")).text()
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    ping = (("query", "health.ping"), ("type", "SELECT"))

    assert samples[("hub_db_pool_max_connections",)] == 5
    assert samples[("hub_db_pool_acquires_total",)] >= 1
    assert samples[("hub_db_query_seconds_count", *ping)] >= 1
    assert samples[("hub_db_query_errors_total", *ping)] == 0
    assert samples[("hub_db_query_quantile_seconds", ("quantile", "0.95"), *ping)] > 0


@pytest.mark.parametrize("path", ["/internal/db", "/internal/db.html", "/metrics"])
@pytest.mark.parametrize("field", ["X-Forwarded-For", "Forwarded", "Via"])
async def test_what_came_through_a_proxy_sees_nothing(
    anyone: Client, path: str, field: str
) -> None:
    answer = await anyone.get(path, headers={field: "127.0.0.1"})

    assert answer.status == 404


async def test_a_request_names_its_route_and_trace_to_the_monitor(
    hub: Hub, aiohttp_client: Callable[..., Awaitable[Client]], caplog: pytest.LogCaptureFixture
) -> None:
    hub.monitor.thresholds = Thresholds(warning=0.0, slow=10.0, summary=0.0)
    client = await aiohttp_client(make_app(hub))
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    await client.get("/blog/none", headers={"Traceparent": f"00-{trace}-00f067aa0ba902b7-01"})

    assert f"route GET /blog/{{slug}}, trace {trace}" in caplog.text
