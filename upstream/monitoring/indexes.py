"""What PostgreSQL knows about the hub's indexes: which serve, which don't, which are missing."""

from dataclasses import dataclass
from typing import Any

from upstream import queries_of_monitoring as queries
from upstream.pool import Connection

_BIG_ROWS = 10_000
"""A table with more rows shouldn't be read from end to end often."""


@dataclass(frozen=True, slots=True)
class Report:
    """Each list holds rows as PostgreSQL gave them."""

    indexes: list[dict[str, Any]]
    unused: list[dict[str, Any]]
    duplicates: list[dict[str, Any]]
    missing: list[dict[str, Any]]
    since: str | None
    """When the counts began; None when they were never reset."""


async def report(connection: Connection) -> Report:
    """Return what there is to say about the indexes of the database."""
    indexes = [dict(row) for row in await connection.fetch(queries.INDEX_USAGE.sql)]
    duplicates = [dict(row) for row in await connection.fetch(queries.INDEX_DUPLICATES.sql)]
    missing = [dict(row) for row in await connection.fetch(queries.INDEX_MISSING.sql, _BIG_ROWS)]
    since = await connection.fetchval(queries.STATISTICS_SINCE.sql)
    # A unique index that nobody reads still keeps rows apart.
    unused = [each for each in indexes if not each["scans"] and not each["unique"]]
    return Report(indexes, unused, duplicates, missing, None if since is None else str(since))


def text(found: Report) -> str:
    """Return the report for people."""
    lines = [f"indexes (counted since {found.since or 'the database was made'})"]
    lines += _table(
        ("table", "index", "size", "scans", "rows read"),
        [
            (each["table"], each["index"], each["size"], str(each["scans"]), str(each["rows"]))
            for each in found.indexes
        ],
    )
    total = sum(each["bytes"] for each in found.indexes)
    lines += [f"{len(found.indexes)} indexes, {total / 2**20:.1f} MiB", ""]
    unused = [f"{each['index']} ({each['size']})" for each in found.unused]
    lines += _section("unused: no query has read them", unused)
    lines += _section(
        "duplicates: the second begins with all that the first has",
        [f"{each['narrow']} is covered by {each['wide']}" for each in found.duplicates],
    )
    lines += _section(
        f"missing: tables of more than {_BIG_ROWS} rows that are read from end to end",
        [
            f"{each['table']}: {each['scans']} scans of all its {each['rows']} rows"
            f" ({each['share']:.0f}% of its reads)"
            for each in found.missing
        ],
    )
    return "\n".join(lines)


def _section(title: str, items: list[str]) -> list[str]:
    return [title, *(f"  {item}" for item in items or ["none"]), ""]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    every = [head, *rows]
    widths = [max(len(row[place]) for row in every) for place in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in every
    ]
