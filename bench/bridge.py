"""From a commit in psql to a correct answer of the cache: `python -m bench.bridge`.

At rest, and while other sessions change rows and clients read as fast as they can.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.end_to_end.real import connect
from tests.end_to_end.test_bridge import World, rename, running
from tests.upstream.world import directory
from upstream.embedded import EmbeddedPostgres
from upstream.migrate import prepare, shipped_migrations
from upstream.pool import connect as connect_to
from upstream.seed import seed_sql
from upstream.settings import PoolSettings


async def measure(world: World, times: int, label: str) -> None:
    own = await connect_to(world.server.address, PoolSettings())
    took = []
    for number in range(times):
        await world.read()
        await rename(own, f"{label} {number}")
        took.append(await world.correct_after(f"{label} {number}") * 1000)
    await own.close()
    took.sort()
    print(
        f"{label:>10}: p50 {took[len(took) // 2]:.1f} ms, "
        f"p99 {took[int(len(took) * 0.99)]:.1f} ms, longest {took[-1]:.1f} ms, of {times}"
    )


async def load(world: World, stop: asyncio.Event) -> tuple[int, int]:
    """Change other organizations' rows, and read what is cached; return how often each."""
    changed = read = 0

    async def change() -> None:
        nonlocal changed
        own = await connect_to(world.server.address, PoolSettings())
        while not stop.is_set():
            await own.execute(
                "UPDATE insight_issues SET line = line + 1 WHERE org_id = 2 AND id % 50 = 0"
            )
            changed += 1
        await own.close()

    async def browse() -> None:
        nonlocal read
        client = await connect(world.gateway)
        while not stop.is_set():
            await client.get("/other")
            read += 1
        client.close()

    await asyncio.gather(change(), change(), *(browse() for _ in range(4)))
    return changed, read


async def run(times: int) -> None:
    with (
        directory() as folder,
        TemporaryDirectory() as own,
        EmbeddedPostgres(folder / "data") as server,
    ):
        sql = await connect_to(server.address, PoolSettings())
        await prepare(sql, shipped_migrations(), seed=seed_sql())
        world = World(server, sql)
        async with world.origin, running(world, Path(own)):
            await measure(world, times, "at rest")
            stop = asyncio.Event()
            began = time.perf_counter()
            busy = asyncio.create_task(load(world, stop))
            await measure(world, times, "under load")
            stop.set()
            changed, read = await busy
            took = time.perf_counter() - began
            print(f"meanwhile {changed / took:,.0f} statements/s and {read / took:,.0f} reads/s")
            world.gateway.process.terminate()
            await world.gateway.ended()
        await sql.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    asyncio.run(run(parser.parse_args().times))
    return 0


if __name__ == "__main__":
    sys.exit(main())
