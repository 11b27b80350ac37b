"""What the hub's indexes give, on a million issues: ``make db-proof``.

A database of its own is filled without the secondary indexes, the dashboard and the lists are
measured by EXPLAIN (ANALYZE, BUFFERS), the indexes are built, and the same is measured again;
then twenty clients at once ask through the hub's own pool. Prints the table and writes it to
docs/db-proof.md.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg

from upstream import queries
from upstream.embedded import EmbeddedPostgres
from upstream.migrate import prepare, shipped_migrations
from upstream.monitoring.statistics import Durations
from upstream.pool import Pool, connect
from upstream.queries import Query
from upstream.seed import seed_sql
from upstream.settings import PoolSettings

PAGE = Path(__file__).parent.parent / "docs" / "db-proof.md"
ORGS = 200
PROJECTS = 4000
CLIENTS = 20
AIM_TIMES = 10.0
AIM_MS = 80.0
_PATIENT = PoolSettings(min_size=1, max_size=2, statement=600, command=600)

FILL = Path(__file__).with_suffix(".sql")


@dataclass(frozen=True, slots=True)
class Case:
    """One of the brief's queries: what a page asks for, in statements with their values."""

    name: str
    asks: tuple[tuple[Query, tuple[Any, ...]], ...]


def cases(org: int, project: int) -> list[Case]:
    """Return the four of them, for one organization."""
    issues, runs, tests = queries.ISSUES, queries.RUNS, queries.TESTS

    def page(listing: queries.Listing, filters: tuple[str, ...], *values: Any) -> Any:
        return (listing.page(filters, after_cursor=False), (org, *values, 21, 0))

    return [
        Case(
            "dashboard",
            (
                (queries.ANALYTICS_BY_SEVERITY, (org, None)),
                page(issues, ("open",)),
                page(runs, ()),
                page(tests, ("failed",)),
            ),
        ),
        Case("insight issues list", (page(issues, ("severity", "open"), "critical"),)),
        Case("autopilot runs list", (page(runs, ("project", "status"), project, "failed"),)),
        Case("guardian tests list", (page(tests, ("project", "failed"), project),)),
    ]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one case took."""

    milliseconds: float
    buffers: int
    """Pages of 8 KB that were touched."""


async def secondary(connection: asyncpg.Connection) -> list[str]:
    """Return the definitions of the indexes that keep nothing apart."""
    rows = await connection.fetch(
        """
        SELECT pg_get_indexdef(i.indexrelid) AS definition, c.relname AS name
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE NOT i.indisunique AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname
        """
    )
    for row in rows:
        await connection.execute(f'DROP INDEX "{row["name"]}"')
    return [row["definition"] for row in rows]


async def measure(connection: asyncpg.Connection, case: Case, rounds: int) -> Measured:
    """Return the median over *rounds* of what EXPLAIN (ANALYZE, BUFFERS) tells."""
    times, buffers = [], 0
    for _ in range(rounds):
        took = 0.0
        buffers = 0
        for query, values in case.asks:
            text = await connection.fetchval(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query.sql}", *values
            )
            plan = json.loads(text)[0]
            took += plan["Planning Time"] + plan["Execution Time"]
            buffers += plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        times.append(took)
    return Measured(statistics.median(times), buffers)


async def crowd(pool: Pool, seconds: float) -> dict[str, Durations]:
    """Let twenty clients ask for *seconds*; return how long each case took them."""
    chance = random.Random(1)
    end = time.monotonic() + seconds
    found: dict[str, Durations] = {}

    async def client() -> None:
        while time.monotonic() < end:
            org = 1 + int(ORGS * chance.random() ** 2)
            case = chance.choice(cases(org, 1 + int(PROJECTS * chance.random() ** 1.6)))
            for query, values in case.asks:
                began = time.perf_counter()
                await pool.fetch(query, *values)
                found.setdefault(case.name, Durations()).add(time.perf_counter() - began)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return found


async def prove(postgres: EmbeddedPostgres, issues: int, seconds: float) -> tuple[str, bool]:
    """Return the page, and whether the aims are met."""
    connection = await connect(postgres.address, _PATIENT)
    await prepare(connection, shipped_migrations(), seed=seed_sql())
    definitions = await secondary(connection)
    began = time.perf_counter()
    text = FILL.read_text().format(orgs=ORGS, projects=PROJECTS, issues=issues)
    await connection.execute(text)
    filled = time.perf_counter() - began
    await connection.execute("VACUUM ANALYZE")
    every = cases(1, 1)
    without = [await measure(connection, case, 3) for case in every]
    building = time.perf_counter()
    for definition in definitions:
        await connection.execute(definition)
    await connection.execute("VACUUM ANALYZE")
    built = time.perf_counter() - building
    have = [await measure(connection, case, 7) for case in every]
    rows = await connection.fetchval(queries.COUNT_ROWS.sql)
    size = await connection.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))")
    await connection.close()
    pool = await Pool.open(postgres.address, replace(PoolSettings(), acquire=30.0))
    waits = await crowd(pool, seconds)
    await pool.close()
    lines = [
        f"{rows:,} rows ({issues:,} issues more than the demo's), {size} with its indexes;"
        f" filled in {filled:.0f} s, {len(definitions)} indexes built in {built:.0f} s.",
        "",
        "| query | without, ms | with, ms | times faster | pages without | pages with"
        f" | p95 of {CLIENTS} clients, ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    good = True
    for case, before, after in zip(every, without, have, strict=True):
        p95 = waits[case.name].percentile(0.95) * 1000
        times = before.milliseconds / after.milliseconds
        good = good and times >= AIM_TIMES and p95 < AIM_MS
        lines.append(
            f"| {case.name} | {before.milliseconds:.1f} | {after.milliseconds:.2f} | {times:.0f}"
            f" | {before.buffers:,} | {after.buffers:,} | {p95:.1f} |"
        )
    everything = Durations()
    for each in waits.values():
        everything.merge(each)
    lines += [
        "",
        f"The clients asked {everything.count / seconds:.0f} queries a second for {seconds:.0f} s:"
        f" p50 {everything.percentile(0.5) * 1000:.1f} ms,"
        f" p95 {everything.percentile(0.95) * 1000:.1f} ms,"
        f" p99 {everything.percentile(0.99) * 1000:.1f} ms.",
        "",
        f"Aims: each at least {AIM_TIMES:.0f} times faster, p95 below {AIM_MS:.0f} ms:"
        f" {'met' if good else 'NOT met'}.",
    ]
    return "\n".join(lines) + "\n", good


_ABOUT = """\
# What the indexes give

`make db-proof` fills a database with a million issues and what belongs to them, measures what the
dashboard and the lists ask of it, first without the indexes (only those that keep rows apart), then
with all of them, and writes this page. *without* and *with* are medians of planning and execution
time as EXPLAIN (ANALYZE, BUFFERS) tells them, for the organization that has most; a page is 8 KB.
The last column is what a client waits for one query, its turn in the pool included, while twenty
ask at once for organizations of all sizes.

"""


def main(arguments: Iterable[str] | None = None) -> int:
    """Prove it; return 0 when the aims are met."""
    parser = argparse.ArgumentParser(prog="python -m bench.db_proof")
    parser.add_argument("--issues", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long the clients ask")
    parser.add_argument("--no-page", action="store_true", help="leave docs/db-proof.md as it is")
    options = parser.parse_args(None if arguments is None else list(arguments))
    with (
        TemporaryDirectory(prefix="hub-proof-") as folder,
        EmbeddedPostgres(Path(folder) / "data") as postgres,
    ):
        table, good = asyncio.run(prove(postgres, options.issues, options.seconds))
    print(table)
    if not options.no_page:
        machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, PostgreSQL 18"
        PAGE.write_text(f"{_ABOUT}Measured on {machine}.\n\n{table}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
