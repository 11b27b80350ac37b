"""What a client is told while the database is busy, restarting or gone."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.upstream.conftest import logged_in, make_database
from tests.upstream.world import Client, call, directory, error_of, settings_for
from upstream import queries
from upstream.app import make_app
from upstream.context import Hub
from upstream.embedded import EmbeddedPostgres
from upstream.pool import Pool
from upstream.queries import Query
from upstream.serving import open_hub
from upstream.settings import DatabaseAddress, PoolSettings

SLEEP = Query("test.sleep", "SELECT pg_sleep($1)")
SMALL = PoolSettings(min_size=1, max_size=2, acquire=0.3, statement=0.3, command=5.0)


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """Lend a server that these tests may restart."""
    with directory() as folder, EmbeddedPostgres(folder / "data") as server:
        yield server


@pytest.fixture(scope="module")
def database(own_postgres: EmbeddedPostgres) -> DatabaseAddress:
    return make_database(own_postgres, template="template0")


@pytest.fixture
async def hub(
    own_postgres: EmbeddedPostgres, database: DatabaseAddress, tmp_path: Path
) -> AsyncIterator[Hub]:
    if not own_postgres.running:
        own_postgres.start()
    settings = replace(settings_for(tmp_path, SMALL), seed=True)
    async with open_hub(settings, database) as parts:
        yield parts


@contextlib.asynccontextmanager
async def all_connections_taken(pool: Pool) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(SMALL.max_size):
            await stack.enter_async_context(pool.connection())
        yield


async def test_a_request_that_gets_no_connection_is_told_so_soon(ada: Client, hub: Hub) -> None:
    async with all_connections_taken(hub.pool):
        started = time.monotonic()
        reply = await call(ada, "insight.getIssues")
        waited = time.monotonic() - started

        assert reply.status == 503
        assert reply.headers["Retry-After"] == "1"
        assert reply.headers["Cache-Control"] == "no-store"
        assert (await reply.json())["error"]["data"]["code"] == "SERVICE_UNAVAILABLE"
        assert waited < 2.0
    assert (await call(ada, "insight.getIssues")).status == 200


async def test_a_hub_whose_connections_are_all_busy_is_still_alive(
    anyone: Client, hub: Hub
) -> None:
    async with all_connections_taken(hub.pool):
        reply = await anyone.get("/api/health")

    assert (reply.status, (await reply.json())["status"]) == (200, "busy")


async def test_a_statement_that_takes_too_long_is_cut_off(anyone: Client, hub: Hub) -> None:
    with pytest.raises(Exception, match="took too long"):
        await hub.pool.fetchval(SLEEP, 5.0)

    assert (await anyone.get("/api/health")).status == 200


async def test_a_client_that_hangs_up_gives_its_connection_back(hub: Hub) -> None:
    for _ in range(SMALL.max_size + 1):
        asking = asyncio.create_task(hub.pool.fetchval(SLEEP, 0.2))
        await asyncio.sleep(0)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking

    assert await hub.pool.fetchval(queries.PING) is not None


async def test_a_restart_of_the_database_is_survived_without_one_failed_request(
    ada: Client, own_postgres: EmbeddedPostgres
) -> None:
    before = await (await ada.get("/api/projects")).json()

    await asyncio.to_thread(own_postgres.stop)
    own_postgres.start()
    replies = await asyncio.gather(*(ada.get("/api/projects") for _ in range(4)))

    assert [reply.status for reply in replies] == [200] * 4
    assert await replies[0].json() == before


async def test_while_the_database_is_away_every_route_says_so_and_recovers(
    ada: Client, own_postgres: EmbeddedPostgres
) -> None:
    own_postgres.stop()
    for path in ("/", "/docs", "/dashboard", "/api/projects", "/api/health", "/api/auth/session"):
        reply = await ada.get(path)
        assert reply.status == 503, path
        assert reply.headers["Retry-After"] == "1"
        assert "no-store" in reply.headers["Cache-Control"]
    assert (await ada.get("/.well-known/jwks.json")).status == 200
    assert (await error_of(await ada.get("/api/projects")))["code"] == "database_unavailable"

    own_postgres.start()

    assert (await ada.get("/api/health")).status == 200
    assert (await ada.get("/dashboard")).status == 200


async def test_an_error_of_our_own_is_answered_without_its_details(
    hub: Hub,
    aiohttp_client: Callable[..., Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = make_app(hub)

    async def broken(_request: object) -> None:
        raise RuntimeError("the secret is 42")

    app.router.add_get("/api/broken", broken)  # type: ignore[arg-type]
    client = await aiohttp_client(app)

    reply = await client.get("/api/broken")

    assert reply.status == 500
    assert "42" not in await reply.text()
    assert "the secret is 42" in caplog.text


async def test_logging_in_works_on_a_database_that_was_seeded_just_now(
    new_client: Callable[[], Awaitable[Client]],
) -> None:
    for email in ("ada@acme.test", "grace@globex.test", "alan@initech.test"):
        await logged_in(new_client, email)
