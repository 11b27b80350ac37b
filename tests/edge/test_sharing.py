"""Workers of one node share what one of them fetched, whoever comes at whatever moment."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.storage.leases import Leases, new_table
from gateway.storage.local import SMALLEST_QUOTA, prepare
from gateway.storage.tiers import Tiers
from tests.doubles.origin import PATIENCE, ScriptedOrigin, ok
from tests.doubles.world import World, gateway_before

RULES = f"""\
version: 1
tiers: {{memory: {{size: 1MB}}, local: {{size: {SMALLEST_QUOTA}B}}}}
routes:
  - {{name: all, match: {{path: /*}}, cache: {{ttl: 1h, scope: public}}}}
"""


@asynccontextmanager
async def node(
    folder: Path, origin: ScriptedOrigin, table: int
) -> AsyncIterator[tuple[World, Tiers]]:
    assert prepare(folder / "local", SMALLEST_QUOTA) is None
    async with gateway_before(origin, RULES) as world:
        leases = Leases(table)
        world.gateway.site.open_tiers(folder, leases)
        tiers = world.gateway.site.tiers
        assert tiers is not None
        yield world, tiers
        leases.close()


async def written(tiers: Tiers) -> None:
    """Wait until what waited to be written is."""
    done = asyncio.Event()
    tiers._told.append(done.set)
    tiers._flush()
    async with asyncio.timeout(PATIENCE):
        await done.wait()


async def test_what_came_between_the_look_and_the_lease_is_used(tmp_path: Path) -> None:
    table = new_table()
    async with ScriptedOrigin({"/a": [ok(b"once")]}) as origin, node(tmp_path, origin, table) as it:
        world, tiers = it
        assert (await world.get("/a")).word == "MISS"
        await written(tiers)
        world.gateway.site.memory.clear()
        look, looks = tiers.at_hand, 0

        def late(*about: object, again: bool = False) -> Sequence[object]:
            nonlocal looks
            looks += 1
            return () if looks == 1 else look(*about, again=again)  # type: ignore[arg-type]

        tiers.at_hand = late  # type: ignore[method-assign,assignment]
        reply = await world.get("/a")

    os.close(table)
    assert (reply.word, reply.body) == ("HIT", b"once")
    assert looks == 2
    assert len(origin.heard) == 1


HOLDER = """
import fcntl, sys
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
"""


def holder(table: int) -> "subprocess.Popen[bytes]":
    """Start a process that has the whole table locked, as one that stands still would."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(table)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[table],
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    return process


async def test_a_table_that_stays_locked_holds_up_no_fetch(tmp_path: Path) -> None:
    table = new_table()
    async with ScriptedOrigin({"*": [ok()]}) as origin, node(tmp_path, origin, table) as (world, _):
        stands_still = holder(table)
        words = [(await world.get("/a")).word for _ in range(2)]
        stands_still.kill()
        stands_still.communicate()

    os.close(table)
    assert words == ["MISS", "HIT"]


async def test_a_lease_that_could_not_be_given_back_at_once_is_given_back_soon(
    tmp_path: Path,
) -> None:
    table = new_table()
    async with ScriptedOrigin({"*": [ok()]}) as origin, node(tmp_path, origin, table) as it:
        world, tiers = it
        give_back = tiers._leases.release  # type: ignore[union-attr]
        given: list[bool] = []
        done = asyncio.Event()

        def at_the_second_try(key: bytes) -> bool:
            given.append(bool(given) and give_back(key))
            if given[-1]:
                done.set()
            return given[-1]

        tiers._leases.release = at_the_second_try  # type: ignore[union-attr,method-assign]
        assert (await world.get("/a")).word == "MISS"
        async with asyncio.timeout(PATIENCE):
            await done.wait()

    os.close(table)
    assert given == [False, True]
