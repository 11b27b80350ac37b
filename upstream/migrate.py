"""Bringing a database to the schema that this version of the hub expects.

Migrations are the SQL files in ``migrations/``, applied in the order of their numbers,
each in a transaction of its own together with the row that remembers it.  A file that begins
with ``-- no transaction`` is for ``CREATE INDEX CONCURRENTLY``, which writers don't wait for:
its statements run one by one, and say ``IF NOT EXISTS``, so that a file that failed half-way
goes on where it stopped.  A lock lets replicas that start together take turns; it belongs to
the connection, so that a killed process can't leave it behind.
"""

import asyncio
import hashlib
import logging
import re
from dataclasses import dataclass
from importlib.resources import files

import asyncpg
import pglast

from upstream import queries
from upstream.errors import StartFailed
from upstream.queries_of_monitoring import INVALID_INDEXES

_LOCK = 4_815_162_342
"""An arbitrary number that all hubs agree on."""

_LOCK_INTERVAL = 0.1
_LEFTOVER = re.compile(r"_cc(?:new|old)\d*$")

_log = logging.getLogger("hub.migrate")

_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; *checksum* tells whether it was edited after it was applied."""

    version: int
    name: str
    sql: str

    @property
    def in_transaction(self) -> bool:
        """Whether the file runs as a whole or not at all."""
        return not self.sql.lstrip().lower().startswith("-- no transaction")

    def statements(self) -> tuple[str, ...]:
        """Return the statements one by one, as PostgreSQL's own parser parts them."""
        return tuple(pglast.split(self.sql))

    @property
    def checksum(self) -> str:
        """The digest of the text, as remembered in the database."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped_migrations() -> tuple[Migration, ...]:
    """Return the migrations that come with this version, in order."""
    found = (
        Migration(int(matched["version"]), matched["name"], file.read_text())
        for file in files("upstream").joinpath("migrations").iterdir()
        if (matched := _FILE_NAME.fullmatch(file.name))
    )
    return tuple(sorted(found, key=lambda migration: migration.version))


async def prepare(
    connection: asyncpg.Connection, migrations: tuple[Migration, ...], *, seed: str | None
) -> list[Migration]:
    """Apply what is missing, then *seed* if given and there are no organizations.

    Returns the migrations that were applied now.  Raises StartFailed when the database
    and the files contradict one another, or a statement fails.
    """
    # Asked for again and again: who waited inside a statement would hold up an index that is
    # built concurrently, and that one's builder has the lock.
    while not await connection.fetchval(queries.MIGRATION_LOCK.sql, _LOCK):  # noqa: ASYNC110
        await asyncio.sleep(_LOCK_INTERVAL)
    try:
        await _repair_indexes(connection)
        applied = await _migrate(connection, migrations)
        if seed is not None and not await connection.fetchval(queries.HAS_ORGANIZATIONS.sql):
            async with connection.transaction():
                await connection.execute(seed)
            # The planner knows nothing about fresh rows until it has looked at them, and an
            # index alone can't answer while nobody knows which rows everybody sees.
            await connection.execute("VACUUM ANALYZE")
        return applied
    finally:
        if not connection.is_closed():
            await connection.execute(queries.MIGRATION_UNLOCK.sql, _LOCK)


async def _migrate(
    connection: asyncpg.Connection, migrations: tuple[Migration, ...]
) -> list[Migration]:
    await connection.execute(queries.MIGRATION_TABLE.sql)
    known = {row["version"]: row for row in await connection.fetch(queries.MIGRATIONS_APPLIED.sql)}
    newest_shipped = max((migration.version for migration in migrations), default=0)
    if ahead := [version for version in known if version > newest_shipped]:
        raise StartFailed(
            f"the database has migration {max(ahead):04}, this hub knows only up to"
            f" {newest_shipped:04}: start a newer hub, or use another database"
        )
    applied = []
    for migration in migrations:
        label = f"migration {migration.version:04}_{migration.name}.sql"
        if row := known.get(migration.version):
            if row["checksum"] != migration.checksum:
                raise StartFailed(
                    f"{label} was edited after it had been applied:"
                    " restore the file and put the change into a new migration"
                )
            continue
        try:
            if migration.in_transaction:
                async with connection.transaction():
                    await connection.execute(migration.sql)
                    await _remember(connection, migration)
            else:
                for statement in migration.statements():
                    await connection.execute(statement)
                await _remember(connection, migration)
        except asyncpg.PostgresError as error:
            raise StartFailed(f"{label}: {error}") from error
        applied.append(migration)
    return applied


async def _remember(connection: asyncpg.Connection, migration: Migration) -> None:
    await connection.execute(
        queries.MIGRATION_DONE.sql, migration.version, migration.name, migration.checksum
    )


async def _repair_indexes(connection: asyncpg.Connection) -> None:
    """Rebuild indexes that an interrupted build has left INVALID; nothing reads them so."""
    for row in await connection.fetch(INVALID_INDEXES.sql):
        name = row["index"]
        quoted = '"' + name.replace('"', '""') + '"'
        # What an interrupted REINDEX has left beside the index that it was to replace.
        leftover = _LEFTOVER.search(name) is not None
        verb = "DROP INDEX CONCURRENTLY IF EXISTS" if leftover else "REINDEX INDEX CONCURRENTLY"
        _log.warning("the index %s is invalid: %s", name, "dropped" if leftover else "rebuilt")
        try:
            await connection.execute(f"{verb} {quoted}")
        except asyncpg.PostgresError as error:
            raise StartFailed(
                f"the index {name} is invalid and can't be rebuilt: {error};"
                " drop it by hand, or free what it needs, and start again"
            ) from error
