"""What is typed into psql shows in the next answer of the cache, as soon as it is committed."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from tests.doubles.origin import PATIENCE, Heard, ScriptedOrigin, Wire, ok
from tests.doubles.serving import Serving
from tests.doubles.serving import get as get_from
from tests.end_to_end.real import connect, gateway_process
from tests.upstream.world import directory
from upstream.embedded import EmbeddedPostgres
from upstream.migrate import prepare, shipped_migrations
from upstream.pool import connect as connect_to
from upstream.seed import seed_sql
from upstream.settings import PoolSettings

RULES = """\
version: 1
tiers:
  local: {size: 32MB}
routes:
  - name: pages
    match: {path: /*}
    cache: {ttl: 1h, scope: public}
invalidate_from: {database: "${DATABASE_URL:-}"}
"""

TITLE = "SELECT name FROM projects WHERE id = 1"


class World:
    """A database, and a gateway before an origin that answers with what a row says."""

    def __init__(self, server: EmbeddedPostgres, sql: asyncpg.Connection) -> None:
        self.server = server
        self.sql = sql
        self.origin = ScriptedOrigin({"/project": [self._answer], "/other": [ok(b"other")]})
        self.gateway: Serving

    @property
    def url(self) -> str:
        address = self.server.address
        return f"postgresql://{address.user}@/hub?host={quote(address.host, safe='')}&port=5432"

    async def _answer(self, heard: Heard, wire: Wire) -> None:
        name = await self.sql.fetchval(TITLE)
        await wire.send(ok(name.encode(), cache_groups='"org:1", "project:1"'))

    async def read(self, target: str = "/project") -> tuple[str | None, str]:
        client = await connect(self.gateway)
        reply = await client.get(target)
        client.close()
        return reply.word, reply.body.decode()

    async def correct_after(self, name: str) -> float:
        """Return how long it took until *name* was read, in seconds."""
        began = time.perf_counter()
        async with asyncio.timeout(PATIENCE):
            while (await self.read())[1] != name:
                pass
        return time.perf_counter() - began

    async def metric(self, name: str) -> float:
        page = (await get_from(self.gateway.admin, "/metrics")).body
        line = next(line for line in page.splitlines() if line.startswith(f"{name} "))
        return float(line.split()[1])

    async def until(self, name: str, wanted: Callable[[float], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not wanted(await self.metric(name)):
                pass


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with directory() as folder, EmbeddedPostgres(folder / "data") as server:
        sql = await connect_to(server.address, PoolSettings())
        await prepare(sql, shipped_migrations(), seed=seed_sql())
        made = World(server, sql)
        async with made.origin, running(made, tmp_path):
            yield made
        if not sql.is_closed():
            await sql.close()


@asynccontextmanager
async def running(world: World, folder: Path) -> AsyncIterator[None]:
    """Run the gateway until its bridge stands."""
    async with gateway_process(
        folder,
        world.origin,
        workers=2,
        rules_text=RULES,
        environ={"DATABASE_URL": world.url},
    ) as gateway:
        world.gateway = gateway
        await world.until("gateway_bridge_connected", lambda value: value == 1.0)
        yield


async def rename(sql: asyncpg.Connection, name: str) -> None:
    await sql.execute("UPDATE projects SET name = $1 WHERE id = 1", name)


async def test_an_update_shows_in_the_next_answer_within_a_tenth_of_a_second(world: World) -> None:
    await world.read("/other")
    waits = []
    for number in range(20):
        await world.read()
        await rename(world.sql, f"name {number}")
        waits.append(await world.correct_after(f"name {number}"))

    assert sorted(waits)[-3] < 0.1
    # What wasn't read from it stayed.
    assert await world.read("/other") == ("HIT", "other")


async def test_what_is_rolled_back_purges_nothing_and_one_note_stands_for_a_statement(
    world: World,
) -> None:
    await world.correct_after(await world.sql.fetchval(TITLE))
    noted = await world.sql.fetchval("SELECT count(*) FROM cache_invalidations")
    transaction = world.sql.transaction()
    await transaction.start()
    await rename(world.sql, "never")
    await transaction.rollback()
    assert await world.sql.fetchval("SELECT count(*) FROM cache_invalidations") == noted

    await world.sql.execute("UPDATE insight_issues SET message = message || '.'")
    found = await world.sql.fetch(
        "SELECT groups FROM cache_invalidations ORDER BY id DESC LIMIT $1",
        await world.sql.fetchval("SELECT count(*) FROM cache_invalidations") - noted,
    )
    assert len(found) == 1
    assert "org:1" in found[0]["groups"]


async def test_a_transaction_that_began_early_and_committed_late_is_not_missed(
    world: World,
) -> None:
    early = await connect_to(world.server.address, PoolSettings())
    transaction = early.transaction()
    await transaction.start()
    await rename(early, "late")
    before = await world.metric("gateway_bridge_groups_total")
    await world.sql.execute("UPDATE articles SET title = title || '!'")
    await world.until("gateway_bridge_groups_total", lambda value: value > before)
    await world.read()

    await transaction.commit()

    assert await world.correct_after("late") < 1.0
    await early.close()


async def test_a_lost_connection_and_a_restarted_server_cost_time_and_no_purge(
    world: World,
) -> None:
    await world.read()
    await world.sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'gateway: purges'"
    )
    await rename(world.sql, "while nobody listened")
    await world.correct_after("while nobody listened")
    assert await world.metric("gateway_bridge_reconnects_total") >= 1

    await world.sql.close()
    world.server.stop()
    await world.until("gateway_bridge_connected", lambda value: value == 0.0)
    world.server.start()
    world.sql = await connect_to(world.server.address, PoolSettings())
    await rename(world.sql, "after the restart")
    await world.correct_after("after the restart")


async def test_what_changed_while_the_gateway_was_away_holds_when_it_is_back(
    world: World, tmp_path: Path
) -> None:
    await world.correct_after(await world.sql.fetchval(TITLE))
    await world.until('gateway_tier_objects{tier="local"}', lambda value: value >= 1.0)
    world.gateway.process.terminate()
    await world.gateway.ended()
    await rename(world.sql, "while away")

    async with running(world, tmp_path):
        assert (await world.read())[1] == "while away"


async def test_notes_that_were_trimmed_before_they_were_read_cost_a_validation_of_everything(
    world: World,
) -> None:
    await world.read()
    assert (await world.read("/other"))[1] == "other"
    await world.sql.execute("UPDATE cache_invalidations_trimmed SET txid = 9000000000000")
    await world.sql.execute("NOTIFY cache_invalidations")

    async with asyncio.timeout(PATIENCE):
        while (await world.read("/other"))[0] == "HIT":
            pass
