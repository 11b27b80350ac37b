"""Bringing a database to the schema that this version of the hub expects.

Migrations are the SQL files in ``migrations/``, applied in the order of their numbers,
each in a transaction of its own together with the row that remembers it.  A lock lets
replicas that start together take turns; it belongs to the connection, so that a killed
process can't leave it behind.
"""

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

import asyncpg

from upstream import queries
from upstream.errors import StartFailed

_LOCK = 4_815_162_342
"""An arbitrary number that all hubs agree on."""

_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; *checksum* tells whether it was edited after it was applied."""

    version: int
    name: str
    sql: str

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
    await connection.execute(queries.MIGRATION_LOCK.sql, _LOCK)
    try:
        applied = await _migrate(connection, migrations)
        if seed is not None and not await connection.fetchval(queries.HAS_ORGANIZATIONS.sql):
            async with connection.transaction():
                await connection.execute(seed)
            # The planner knows nothing about fresh rows until it has looked at them.
            await connection.execute("ANALYZE")
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
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    queries.MIGRATION_DONE.sql,
                    migration.version,
                    migration.name,
                    migration.checksum,
                )
        except asyncpg.PostgresError as error:
            raise StartFailed(f"{label}: {error}") from error
        applied.append(migration)
    return applied
