"""The shared tier against a real Valkey: what it does, and what becomes of us when it doesn't."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.background import Background
from gateway.storage.keys import Prefix
from gateway.storage.local import TierDown
from gateway.storage.redis import QUEUED, RedisStore
from gateway.storage.redis_url import parse
from gateway.storage.settings import RedisSettings
from tests.doubles.valkey import Valkey, cluster, sentinel, slow_path, valkey

BUDGET = 0.05


@asynccontextmanager
async def store_at(url: str, budget: float = BUDGET) -> AsyncIterator[RedisStore]:
    background = Background()
    store = RedisStore(
        RedisSettings(parse(url), timeout=budget, prefix="test:"),
        background,
        monotonic=time.monotonic,
        chance=lambda: 0.5,
    )
    try:
        yield store
    finally:
        await store.close()
        await background.close()


async def written(store: RedisStore) -> None:
    """Wait until all that was put is written or given up."""
    done = asyncio.Event()
    store.then(done.set)
    await asyncio.wait_for(done.wait(), 5.0)


async def until(what: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Try *what* again and again until it is so."""
    async with asyncio.timeout(seconds):
        while not await what():  # noqa: ASYNC110 - servers tell no events
            await asyncio.sleep(0.01)


async def test_what_is_put_is_there_for_its_time_and_goes_when_removed() -> None:
    with valkey() as server:
        async with store_at(server.url) as store:
            store.put("test:a", b"1", 100.0)
            store.put("test:b", b"2", 0.05)
            await written(store)
            assert await store.get("test:a") == b"1"
            assert int(server.say("PTTL", "test:a")[1:]) > 90_000
            await until(lambda: _is(store, "test:b", None))
            store.put("test:a", None, 0.0)
            await written(store)
            assert await store.get("test:a") is None
            assert (store.statistics.sets, store.statistics.deletes) == (2, 1)


async def _is(store: RedisStore, name: str, value: bytes | None) -> bool:
    return await store.get(name) == value


async def test_many_lookups_at_once_each_get_their_own() -> None:
    with valkey() as server:
        async with store_at(server.url, budget=2.0) as store:
            for number in range(1000):
                store.put(f"test:{number}", b"%d" % number, 100.0)
            await written(store)

            found = await asyncio.gather(*(store.get(f"test:{n}") for n in range(1100)))

    assert found == [b"%d" % n if n < 1000 else None for n in range(1100)]


async def test_get_or_set_makes_what_is_missing_once() -> None:
    made = []

    async def make() -> bytes:
        made.append(1)
        return b"made"

    with valkey() as server:
        async with store_at(server.url) as store:
            assert await store.get_or_set("test:a", 10.0, make) == b"made"
            await written(store)
            assert await store.get_or_set("test:a", 10.0, make) == b"made"
            assert len(made) == 1
            assert store.statistics.hit_rate == 0.5


async def test_a_pattern_deletes_what_matches_and_nothing_of_others() -> None:
    with valkey() as server:
        async with store_at(server.url) as store:
            for number in range(700):
                store.put(store.name(Prefix.SESSION, f"{number}"), b"x", 100.0)
            store.put(store.name(Prefix.ORG, "1"), b"x", 100.0)
            await written(store)
            server.say("SET", "elsewhere:session:1", "x")

            assert await store.delete_matching("session:*") == 700
            assert await store.get(store.name(Prefix.ORG, "1")) == b"x"
            assert server.say("EXISTS", "elsewhere:session:1") == b":1"


async def test_a_counter_begins_anew_after_its_time() -> None:
    with valkey() as server:
        async with store_at(server.url) as store:
            name = store.name(Prefix.RATE_LIMIT, "x")
            assert (await store.count(name, 0.2))[0] == 1
            count, left = await store.count(name, 0.2, by=4)
            assert count == 5
            assert 0.0 < left <= 0.2

            async def is_gone() -> bool:
                return server.say("EXISTS", name) == b":0"

            await until(is_gone)
            assert (await store.count(name, 0.2))[0] == 1


async def test_messages_reach_who_listens() -> None:
    with valkey() as server:
        async with store_at(server.url) as store:
            heard: list[bytes] = []
            ready = asyncio.Event()

            async def listen() -> None:
                async for message in store.listen("test:news", ready.set):
                    heard.append(message)  # noqa: PERF401 - they come one by one

            task = asyncio.create_task(listen())
            await asyncio.wait_for(ready.wait(), 5.0)
            await store.publish("test:news", b"one")

            async def arrived() -> bool:
                return heard == [b"one"]

            await until(arrived)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_one_of_many_gets_the_lease_and_the_next_once_it_is_given_back() -> None:
    with valkey() as server:
        async with store_at(server.url, budget=1.0) as store:
            tokens = [b"%d" % n for n in range(20)]
            said = await asyncio.gather(
                *(store.get_or_lease("test:a", "test:lease", token, 5.0) for token in tokens)
            )
            winners = [token for token, got in zip(tokens, said, strict=True) if got and got[1]]
            assert len(winners) == 1
            loser = next(token for token in tokens if token not in winners)

            await store.release("test:lease", loser)
            assert await store.awaited("test:a", "test:lease") == (None, True)
            await store.release("test:lease", winners[0])
            assert await store.awaited("test:a", "test:lease") == (None, False)


async def test_down_from_the_start_it_costs_nobody_much_and_is_found_once_it_is_up() -> None:
    with valkey() as server:
        server.kill()
        async with store_at(server.url) as store:
            began = time.monotonic()
            assert await asyncio.gather(*(store.get("test:a") for _ in range(50))) == [None] * 50
            assert time.monotonic() - began < 1.0

            async def is_open() -> bool:
                await store.get("test:a")
                return not store.breaker.closed

            await until(is_open)
            assert store.statistics.up == 0
            server.start()
            server.say("SET", "test:a", "found")

            await until(lambda: _is(store, "test:a", b"found"))
            assert store.statistics.up == 1


async def test_one_that_hangs_holds_a_lookup_for_its_budget_and_soon_none_at_all() -> None:
    with valkey() as server:
        async with store_at(server.url) as store:
            store.put("test:a", b"1", 100.0)
            await written(store)
            server.hang()
            waits = []
            for _ in range(20):
                began = time.monotonic()
                assert await store.get("test:a") is None
                waits.append(time.monotonic() - began)

            assert max(waits) < BUDGET * 3
            assert max(waits[-10:]) < BUDGET / 5
            server.go_on()
            await until(lambda: _is(store, "test:a", b"1"))


async def test_one_that_is_too_slow_is_left_alone_and_found_when_it_is_fast_again() -> None:
    with valkey() as server:
        server.say("SET", "test:a", "1")
        async with (
            slow_path(server.port) as path,
            store_at(f"redis://127.0.0.1:{path.port}") as store,
        ):
            await until(lambda: _is(store, "test:a", b"1"))
            path.delay = 0.2

            async def is_left_alone() -> bool:
                await store.get("test:a")
                return not store.breaker.closed

            await until(is_left_alone)
            path.delay = 0.0
            await until(lambda: _is(store, "test:a", b"1"))


async def test_killed_under_load_it_loses_what_it_had_and_nothing_fails() -> None:
    with valkey() as server:
        async with store_at(server.url) as store:
            store.put("test:a", b"1", 100.0)
            await written(store)
            answers: list[bytes | None] = []
            stop = asyncio.Event()

            async def load() -> None:
                while not stop.is_set():
                    answers.append(await store.get("test:a"))
                    store.put("test:b", b"x" * 1000, 100.0)
                    await asyncio.sleep(0)

            tasks = [asyncio.create_task(load()) for _ in range(8)]
            await asyncio.sleep(0.1)
            server.kill()
            await asyncio.sleep(0.2)
            server.start()
            await until(lambda: _is(store, "test:b", b"x" * 1000))
            stop.set()
            await asyncio.gather(*tasks)
            assert set(answers) == {b"1", None}


async def test_out_of_memory_it_can_still_be_read_and_is_not_left_alone() -> None:
    with valkey("--maxmemory", "4mb", "--maxmemory-policy", "noeviction") as server:
        async with store_at(server.url, budget=0.5) as store:
            store.put("test:a", b"1", 100.0)
            await written(store)
            for number in range(100):
                store.put(f"test:{number}", b"x" * 100_000, 100.0)
            await written(store)

            assert store.statistics.errors > 0
            assert store.breaker.closed
            assert await store.get("test:a") == b"1"


async def test_emptied_by_flushall_it_has_nothing_and_takes_what_is_put() -> None:
    with valkey() as server:
        async with store_at(server.url) as store:
            store.put("test:a", b"1", 100.0)
            await written(store)
            server.say("FLUSHALL")
            assert await store.get("test:a") is None
            store.put("test:a", b"2", 100.0)
            await written(store)
            assert await store.get("test:a") == b"2"


async def test_more_than_may_wait_is_dropped_oldest_first_and_counted() -> None:
    with valkey() as server:
        async with store_at(server.url, budget=1.0) as store:
            for number in range(QUEUED + 100):
                store.put(f"test:{number}", b"%d" % number, 100.0)
            await written(store)

            assert store.statistics.dropped == 100
            assert await store.get("test:0") is None
            assert await store.get(f"test:{QUEUED}") == b"%d" % QUEUED


async def test_a_wrong_password_is_told_and_costs_no_request() -> None:
    with valkey("--requirepass", "right") as server:
        async with store_at(f"redis://:wrong@127.0.0.1:{server.port}") as store:
            with pytest.raises(TierDown, match=r"(?i)wrongpass|invalid"):
                await store.ask(lambda to: to.get("test:a"), 1.0)
            assert await store.get("test:a") is None
        async with store_at(f"redis://:right@127.0.0.1:{server.port}") as store:
            assert await store.get("test:a") is None
            assert store.statistics.errors == 0


async def test_in_a_cluster_every_key_is_found_and_a_lease_lies_beside_its_response() -> None:
    with cluster() as nodes:
        async with store_at(_url(nodes), budget=1.0) as store:
            for number in range(100):
                store.put(store.name(Prefix.API, f"{{{number}}}"), b"%d" % number, 100.0)
            await written(store)
            for number in range(100):
                name = store.name(Prefix.API, f"{{{number}}}")
                lease = store.name(Prefix.LEASE, f"{{{number}}}")
                assert await store.get_or_lease(name, lease, b"me", 5.0) == (b"%d" % number, True)
                await store.release(lease, b"me")
            assert await store.delete_matching("api:*") == 100


async def test_when_a_node_of_a_cluster_dies_its_replica_takes_over() -> None:
    with cluster(3, replicas=1) as nodes:
        async with store_at(_url(nodes), budget=0.2) as store:
            names = [store.name(Prefix.API, f"{{{number}}}") for number in range(60)]

            async def all_there() -> bool:
                for name in names:
                    store.put(name, b"x", 100.0)
                await written(store)
                found = await asyncio.gather(*(store.get(name) for name in names))
                return all(value == b"x" for value in found)

            await until(all_there)
            nodes[0].kill()
            began = time.monotonic()
            # Whatever the cluster does meanwhile, nobody waits longer than the budget.
            while time.monotonic() - began < 1.0:
                asked = time.monotonic()
                await store.get(names[0])
                assert time.monotonic() - asked < 0.6
                await asyncio.sleep(0.01)

            await until(all_there, 30.0)


def _url(nodes: list[Valkey]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


async def test_sentinels_tell_where_the_primary_is(tmp_path: Path) -> None:
    with valkey() as primary, sentinel(tmp_path, primary, "main") as told:
        primary.say("SET", "test:a", "1")
        async with store_at(f"redis+sentinel://127.0.0.1:{told.port}/main", budget=1.0) as store:
            await until(lambda: _is(store, "test:a", b"1"))
