"""Commands that look into the hub's database: indexes, plans, migrations."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import psutil

from upstream.catalogue import named_queries
from upstream.embedded import DATABASE, SUPERUSER, EmbeddedPostgres
from upstream.errors import StartFailed
from upstream.migrate import prepare, shipped_migrations
from upstream.monitoring import indexes
from upstream.pool import connect
from upstream.pool import explain as plan_of
from upstream.seed import seed_sql
from upstream.settings import DatabaseAddress, Settings

Work = Callable[[asyncpg.Connection], Awaitable[str]]


def show_indexes(settings: Settings) -> str:
    """Return the report on the indexes."""

    async def work(connection: asyncpg.Connection) -> str:
        return indexes.text(await indexes.report(connection))

    return _with_database(settings, work)


def explain(settings: Settings, name: str) -> str:
    """Return the plan of the query called *name*; raises StartFailed for none such."""
    known = named_queries()
    query = known.get(name)
    if query is None:
        near = [each for each in known if name in each]
        raise StartFailed(
            f"there is no query {name!r}; "
            + (f"did you mean {', '.join(near[:5])}?" if near else "list them with: explain --list")
        )

    async def work(connection: asyncpg.Connection) -> str:
        sql = " ".join(query.sql.split())
        return f"-- {name}\n{sql}\n\n{await plan_of(connection, query.sql)}"

    return _with_database(settings, work)


def migrate(settings: Settings) -> str:
    """Bring the database up to date; return what was done."""

    async def work(connection: asyncpg.Connection) -> str:
        seed = seed_sql() if settings.seed else None
        applied = await prepare(connection, shipped_migrations(), seed=seed)
        names = [f"applied {each.version:04}_{each.name}" for each in applied]
        return "\n".join(names) or "nothing to do: the schema is up to date"

    return _with_database(settings, work)


def _with_database(settings: Settings, work: Work) -> str:
    with _address(settings) as address:
        return asyncio.run(_work(settings, address, work))


async def _work(settings: Settings, address: DatabaseAddress, work: Work) -> str:
    async with _connection(settings, address) as connection:
        try:
            return await work(connection)
        except asyncpg.PostgresError as error:
            raise StartFailed(f"the database {address} says: {error}") from error


@asynccontextmanager
async def _connection(
    settings: Settings, address: DatabaseAddress
) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(address, settings.pool)
    try:
        yield connection
    finally:
        await connection.close()


@contextmanager
def _address(settings: Settings) -> Iterator[DatabaseAddress]:
    """Lend a database: the one that is named, a running hub's, or one started for this."""
    if settings.database is not None:
        yield settings.database
        return
    data = settings.state_dir / "postgres"
    running = _running(data)
    if running is not None:
        yield running
        return
    with EmbeddedPostgres(data) as server:
        yield server.address


def _running(data: Path) -> DatabaseAddress | None:
    """Return where the server of a running hub listens; None when there is none."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        if psutil.Process(int(lines[0])).name() != "postgres":
            return None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return DatabaseAddress(lines[4], int(lines[3]), DATABASE, SUPERUSER)
