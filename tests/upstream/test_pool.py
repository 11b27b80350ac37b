"""The pool's figures, what it does when it is full, and what it leaves when it closes."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from upstream import pool as module
from upstream.errors import ApiError
from upstream.pool import Pool
from upstream.queries import Query
from upstream.settings import DatabaseAddress, PoolSettings

SLEEP = Query("test.sleep", "SELECT pg_sleep($1)")
ONE = Query("test.one", "SELECT 1")
SMALL = PoolSettings(min_size=1, max_size=2, acquire=0.2)


@pytest.fixture
async def pool(database: DatabaseAddress) -> AsyncIterator[Pool]:
    opened = await Pool.open(database, SMALL)
    yield opened
    await opened.close()


async def test_the_figures_follow_what_happens(pool: Pool) -> None:
    before = pool.figures()
    async with pool.connection() as connection:
        await connection.fetchval("SELECT 1")
        during = pool.figures()
    after = pool.figures()

    assert (before.total, before.idle, before.in_use) == (1, 1, 0)
    assert (during.in_use, during.utilisation, during.acquires) == (1, 0.5, 1)
    assert (after.in_use, after.acquires, dict(after.errors)) == (0, 1, {})
    assert pool.acquire_times.count == 1


async def test_a_full_pool_says_so_within_the_acquire_timeout(pool: Pool) -> None:
    async with pool.connection(), pool.connection():
        began = time.monotonic()
        waiting = asyncio.create_task(pool.fetchval(ONE))
        await asyncio.sleep(0)
        seen = pool.figures()
        with pytest.raises(ApiError) as raised:
            await waiting
        waited = time.monotonic() - began

    assert seen.waiting == 1
    assert raised.value.status == 503
    assert raised.value.headers["Retry-After"] == "1"
    assert 0.15 < waited < 2.0
    assert pool.figures().errors == {"busy": 1}
    assert pool.acquire_times.longest > 0.15


async def test_a_transaction_that_fails_leaves_nothing(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute("CREATE TABLE scratch (n int)")
    with contextlib.suppress(ZeroDivisionError):
        async with pool.transaction() as connection:
            await connection.execute("INSERT INTO scratch VALUES (1)")
            raise ZeroDivisionError
    async with pool.transaction() as connection:
        await connection.execute("INSERT INTO scratch VALUES (2)")

    rows = await pool.fetch(Query("test.scratch", "SELECT n FROM scratch"))
    assert [row["n"] for row in rows] == [2]


async def test_health_tells_both_times_and_what_is_wrong(pool: Pool) -> None:
    well = await pool.health()
    async with pool.connection(), pool.connection():
        full = await pool.health()

    assert well["ok"] is True
    assert well["connectionMs"] >= 0
    assert well["queryMs"] > 0
    assert (full["ok"], full["code"]) == (False, "busy")


async def test_closing_waits_for_running_queries(database: DatabaseAddress) -> None:
    pool = await Pool.open(database, SMALL)
    running = asyncio.create_task(pool.fetchval(SLEEP, 0.3))
    while pool.figures().in_use == 0:  # noqa: ASYNC110 - until it has begun
        await asyncio.sleep(0.01)
    await pool.close()

    assert running.done()
    assert running.exception() is None


async def test_idle_connections_are_closed_down_to_the_smallest_number(
    database: DatabaseAddress,
) -> None:
    settings = PoolSettings(min_size=2, max_size=5, idle=0.1)
    pool = await Pool.open(database, settings)
    await asyncio.gather(*(pool.fetchval(SLEEP, 0.05) for _ in range(5)))
    busiest = pool.figures().total
    async with asyncio.timeout(10):
        while pool.figures().total > 2:  # noqa: ASYNC110 - asyncpg's own timers
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)  # three times what closed the others

    assert busiest == 5
    assert pool.figures().total == 2
    await pool.close()


async def test_a_statement_that_takes_too_long_is_cancelled_by_the_server(
    database: DatabaseAddress,
) -> None:
    pool = await Pool.open(database, PoolSettings(min_size=1, max_size=1, statement=0.1))
    with pytest.raises(ApiError) as raised:
        await pool.fetchval(SLEEP, 5)
    assert raised.value.code == "query_timeout"
    assert await pool.fetchval(ONE) == 1
    assert pool.figures().errors == {"query_timeout": 1}
    await pool.close()


async def test_debug_pool_metrics_logs_the_figures(
    database: DatabaseAddress, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_TELL_INTERVAL", 0.05)
    with caplog.at_level(logging.INFO, logger="hub.pool"):
        pool = await Pool.open(database, PoolSettings(min_size=1, max_size=2, tells=True))
        async with asyncio.timeout(10):
            while not caplog.records:  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.01)
        await pool.close()

    assert "0 of 2 connections in use" in caplog.text


async def test_every_query_is_heard_of_with_its_failure(database: DatabaseAddress) -> None:
    told: dict[str, BaseException | None] = {}

    def heard(sql: str, seconds: float, failure: BaseException | None) -> None:
        assert seconds > 0
        told[sql] = failure

    pool = await Pool.open(database, SMALL, heard)
    await pool.fetchval(ONE)
    with pytest.raises(asyncpg.UndefinedTableError):
        await pool.fetchval(Query("test.wrong", "SELECT * FROM nowhere"))
    await pool.close()

    assert told["SELECT 1"] is None
    assert isinstance(told["SELECT * FROM nowhere"], asyncpg.UndefinedTableError)
