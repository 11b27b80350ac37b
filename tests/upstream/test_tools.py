"""The commands that look into the database, as an operator uses them."""

import asyncio
import os
import sys

from tests.upstream.world import directory
from upstream.settings import DatabaseAddress


async def hub(*arguments: str, database: DatabaseAddress | None = None) -> tuple[int, str, str]:
    """Run ``python -m upstream``; return its status, output and errors."""
    environment = dict(os.environ)
    if database is not None:
        environment |= {
            "DATABASE_HOST": database.host,
            "DATABASE_PORT": str(database.port),
            "DATABASE_NAME": database.name,
            "DATABASE_USER": database.user,
        }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "upstream", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_report_names_every_index_and_those_that_nobody_reads(
    database: DatabaseAddress,
) -> None:
    status, out, _ = await hub("indexes", database=database)

    assert status == 0
    assert "insight_issues_open_org_created" in out
    assert "unused: no query has read them" in out
    assert "duplicates: the second begins with all that the first has\n  none" in out


async def test_the_plan_of_a_named_query_is_shown(database: DatabaseAddress) -> None:
    status, out, _ = await hub("explain", "insight.issues.page.open", database=database)

    assert status == 0
    assert "insight_issues_open_org_created" in out


async def test_an_unknown_query_is_an_error_that_names_near_ones(
    database: DatabaseAddress,
) -> None:
    status, _, err = await hub("explain", "issues.page", database=database)
    listed = await hub("explain", "--list")

    assert status == 1
    assert "did you mean" in err
    assert "insight.issues.page" in listed[1].splitlines()


async def test_migrating_needs_no_hub_and_does_nothing_twice() -> None:
    with directory() as folder:
        state = str(folder / "state")
        first = await hub("migrate", "--state-dir", state)
        second = await hub("migrate", "--state-dir", state)

    assert first[0] == second[0] == 0
    assert "applied 0001_schema" in first[1]
    assert "nothing to do" in second[1]
