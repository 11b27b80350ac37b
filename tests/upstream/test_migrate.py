"""From an empty database to the schema and the demo data, once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from tests.upstream.conftest import make_database
from upstream import queries
from upstream.embedded import EmbeddedPostgres
from upstream.errors import StartFailed
from upstream.migrate import Migration, prepare, shipped_migrations
from upstream.pool import connect
from upstream.seed import seed_sql
from upstream.settings import DatabaseAddress, PoolSettings

FIRST = Migration(1, "first", "CREATE TABLE one (id int); CREATE TABLE organizations (id int)")


@pytest.fixture
async def empty(empty_database: DatabaseAddress) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(empty_database, PoolSettings())
    yield connection
    await connection.close()


async def tables(connection: asyncpg.Connection) -> set[str]:
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows}


def test_the_shipped_migrations_are_numbered_without_a_gap() -> None:
    versions = [migration.version for migration in shipped_migrations()]

    assert versions == list(range(1, len(versions) + 1))


async def test_each_migration_is_applied_once(empty: asyncpg.Connection) -> None:
    first = await prepare(empty, shipped_migrations(), seed=None)
    second = await prepare(empty, shipped_migrations(), seed=None)

    assert first == list(shipped_migrations())
    assert second == []
    assert {"organizations", "insight_issues", "schema_migrations"} <= await tables(empty)


async def test_a_failing_migration_leaves_nothing_of_itself_and_names_its_file(
    empty: asyncpg.Connection,
) -> None:
    broken = Migration(2, "broken", "CREATE TABLE two (id int); SELECT 1/0")

    with pytest.raises(StartFailed, match=r"0002_broken\.sql: division by zero"):
        await prepare(empty, (FIRST, broken), seed=None)

    assert await tables(empty) == {"one", "organizations", "schema_migrations"}
    repaired = replace(broken, sql="CREATE TABLE two (id int)")
    assert await prepare(empty, (FIRST, repaired), seed=None) == [repaired]


async def test_an_edited_migration_is_refused(empty: asyncpg.Connection) -> None:
    await prepare(empty, (FIRST,), seed=None)

    with pytest.raises(StartFailed, match="was edited after it had been applied"):
        await prepare(empty, (replace(FIRST, sql=FIRST.sql + ";"),), seed=None)


async def test_a_database_of_a_newer_hub_is_refused(empty: asyncpg.Connection) -> None:
    await prepare(empty, (FIRST, Migration(2, "second", "SELECT 1")), seed=None)

    with pytest.raises(StartFailed, match="start a newer hub"):
        await prepare(empty, (FIRST,), seed=None)


async def test_hubs_that_start_together_take_turns(empty_database: DatabaseAddress) -> None:
    connections = [await connect(empty_database, PoolSettings()) for _ in range(3)]

    applied = await asyncio.gather(
        *(prepare(connection, shipped_migrations(), seed=None) for connection in connections)
    )

    assert sorted(len(each) for each in applied) == [0, 0, len(shipped_migrations())]
    for connection in connections:
        await connection.close()


async def test_the_seed_is_the_same_on_every_database(postgres: EmbeddedPostgres) -> None:
    fingerprints = []
    for template in ("hub", "template0"):
        address = await asyncio.to_thread(make_database, postgres, template)
        connection = await connect(address, PoolSettings())
        await prepare(connection, shipped_migrations(), seed=seed_sql())
        fingerprints.append(
            [
                await connection.fetchval(
                    f"SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {name} AS t"
                )
                for name in (
                    "organizations",
                    "insight_issues",
                    "autopilot_runs",
                    "articles",
                    "analytics_rollups",
                    "api_keys",
                )
            ]
        )
        rows = await connection.fetchval(queries.COUNT_ROWS.sql)
        assert 45_000 < rows < 55_000
        await connection.close()

    assert fingerprints[0] == fingerprints[1]


async def test_data_that_are_there_are_never_seeded_over(database: DatabaseAddress) -> None:
    connection = await connect(database, PoolSettings())
    await connection.execute("DELETE FROM projects WHERE org_id = 1")
    before = await connection.fetchval(queries.COUNT_ROWS.sql)

    await prepare(connection, shipped_migrations(), seed=seed_sql())

    assert await connection.fetchval(queries.COUNT_ROWS.sql) == before
    await connection.close()


async def test_customers_differ_in_size_as_they_do_in_life(postgres: EmbeddedPostgres) -> None:
    address = await asyncio.to_thread(make_database, postgres, "hub")
    connection = await connect(address, PoolSettings())
    counts = [
        row["count"]
        for row in await connection.fetch(
            "SELECT count(*) FROM insight_issues GROUP BY org_id ORDER BY 1 DESC"
        )
    ]
    await connection.close()

    assert len(counts) == 60
    assert counts[0] > 10 * counts[30] > 0


async def test_the_rollups_are_counts_of_the_rows_they_summarise(
    database: DatabaseAddress,
) -> None:
    connection = await connect(database, PoolSettings())
    wrong = await connection.fetchval(
        """
        SELECT count(*) FROM analytics_rollups AS r
        WHERE r.org_id = 3 AND r.issues_found <> (
            SELECT count(*) FROM insight_issues AS i
            WHERE i.project_id = r.project_id AND (i.created_at AT TIME ZONE 'UTC')::date = r.day)
        """
    )
    await connection.close()

    assert wrong == 0


INDEXES = Migration(
    2,
    "indexes",
    "-- no transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS one_id ON one (id);\n"
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one_unique ON one (id);",
)


async def index_states(connection: asyncpg.Connection) -> dict[str, bool]:
    rows = await connection.fetch(
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = 'one'::regclass"
    )
    return {row["relname"]: row["indisvalid"] for row in rows}


async def test_an_index_build_that_failed_half_way_goes_on_where_it_stopped(
    empty: asyncpg.Connection,
) -> None:
    await prepare(empty, (FIRST,), seed=None)
    await empty.execute("INSERT INTO one VALUES (1), (1)")
    with pytest.raises(StartFailed, match=r"0002_indexes\.sql: could not create unique index"):
        await prepare(empty, (FIRST, INDEXES), seed=None)
    assert await index_states(empty) == {"one_id": True, "one_unique": False}

    with pytest.raises(StartFailed, match="the index one_unique is invalid and can't be rebuilt"):
        await prepare(empty, (FIRST, INDEXES), seed=None)
    await empty.execute("DELETE FROM one")
    applied = await prepare(empty, (FIRST, INDEXES), seed=None)

    assert applied == [INDEXES]
    assert await index_states(empty) == {"one_id": True, "one_unique": True}


async def test_an_index_that_became_invalid_later_is_rebuilt(empty: asyncpg.Connection) -> None:
    await prepare(empty, (FIRST, INDEXES), seed=None)
    await empty.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'one_id'::regclass"
    )

    assert await prepare(empty, (FIRST, INDEXES), seed=None) == []
    assert await index_states(empty) == {"one_id": True, "one_unique": True}
