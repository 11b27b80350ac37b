"""Many clients, one fetch."""

import asyncio
import json
import resource
import sys

from gateway.edge import collapse
from tests.doubles.client import RawClient, Reply
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, response, scripted_origin
from tests.doubles.world import World, gateway_before

CHUNKED = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"


def raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def crowd(world: World, count: int, target: str = "/a") -> list[RawClient]:
    """Return *count* clients that have asked for *target*."""
    raise_descriptor_limit()
    clients = []
    for _ in range(count):
        client = await world.connect()
        await client.ask(target)
        clients.append(client)
    return clients


async def replies_of(clients: list[RawClient]) -> list[Reply]:
    return [await client.reply() for client in clients]


async def until_waiting(world: World, count: int) -> None:
    """Wait until *count* requests are being answered."""
    async with asyncio.timeout(20):
        while world.counters.exchanges_running < count:  # noqa: ASYNC110 - a plain counter
            await asyncio.sleep(0.005)


async def test_ten_thousand_simultaneous_misses_cost_the_origin_one_request() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"one", max_age=60))

    raise_descriptor_limit()
    async with scripted_origin(a=slow) as origin, gateway_before(origin) as world:
        host, port = world.address
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.doubles.crowd", host, str(port), "10000", "/a"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"asked\n"
            await until_waiting(world, 10_000)
            go.set()
            answers = json.loads(await process.stdout.readline())
            await process.wait()

        assert origin.lines() == ["GET /a HTTP/1.1"]
        assert answers == {"200 one collapsed": 9_999, "200 one alone": 1}
        assert world.counters.collapsed == 9_999


async def test_those_who_wait_receive_while_the_body_still_arrives() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await wire.send(CHUNKED + b"3\r\none\r\n")
        await go.wait()
        await wire.send(b"3\r\ntwo\r\n0\r\n\r\n")

    async with scripted_origin(a=slow) as origin, gateway_before(origin) as world:
        first = await world.connect()
        await first.ask("/a")
        await first.head()
        early = await first.chunk()
        second = await world.connect()
        await second.ask("/a")
        await second.head()
        joined = await second.chunk()
        go.set()

        assert (early, joined) == (b"one", b"one")
        assert (await first.chunk(), await first.chunk()) == (b"two", b"")
        assert (await second.chunk(), await second.chunk()) == (b"two", b"")
        assert len(origin.heard) == 1
        assert (await world.get("/a")).body == b"onetwo"


async def test_the_client_that_caused_a_fetch_may_leave() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"one", max_age=60))

    async with scripted_origin(a=slow) as origin, gateway_before(origin) as world:
        leader, follower = await crowd(world, 2)
        await until_waiting(world, 2)
        leader.reset()
        async with asyncio.timeout(5):
            while world.counters.exchanges_running > 1:  # noqa: ASYNC110 - a plain counter
                await asyncio.sleep(0.005)
        go.set()

        assert (await follower.reply()).body == b"one"
        assert (await world.get("/a")).word == "HIT"
        assert len(origin.heard) == 1


async def test_a_fetch_is_completed_and_stored_when_everybody_has_left() -> None:
    go = asyncio.Event()
    done = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"one", max_age=60))
        done.set()

    async with scripted_origin(a=slow) as origin, gateway_before(origin) as world:
        (leader,) = await crowd(world, 1)
        await origin.until_heard(1)
        leader.reset()
        async with asyncio.timeout(5):
            while world.counters.exchanges_running:  # noqa: ASYNC110 - a plain counter
                await asyncio.sleep(0.005)
        go.set()
        await done.wait()
        async with asyncio.timeout(5):
            while not world.gateway.site.memory.objects:  # noqa: ASYNC110 - a plain counter
                await asyncio.sleep(0.005)

        assert (await world.get("/a")).word == "HIT"


async def test_an_answer_for_one_alone_frees_all_the_others_at_once() -> None:
    go = asyncio.Event()
    at_once = 0
    most = 0

    async def personal(heard: Heard, wire: Wire) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await go.wait()
        # Each takes its time: one after the other, they would take fifty seconds.
        await asyncio.sleep(0.05)
        at_once -= 1
        await wire.send(ok(b"%d" % len(origin.heard), cache_control="private"))

    async with scripted_origin(a=personal) as origin, gateway_before(origin) as world:
        clients = await crowd(world, 1000)
        await until_waiting(world, 1000)
        assert len(origin.heard) == 1
        go.set()
        start = asyncio.get_running_loop().time()
        replies = await replies_of(clients)
        took = asyncio.get_running_loop().time() - start

        assert len(origin.heard) == 1000
        assert {reply.word for reply in replies} == {"PASS"}
        assert most > 50
        assert took < 15


async def test_what_was_for_one_alone_goes_side_by_side_from_then_on() -> None:
    gate = asyncio.Event()
    gate.set()

    async def personal(heard: Heard, wire: Wire) -> None:
        await gate.wait()
        await wire.send(ok(b"mine", cache_control="no-store"))

    async with scripted_origin(a=personal) as origin, gateway_before(origin) as world:
        await world.get("/a")
        gate.clear()
        clients = await crowd(world, 20)
        await origin.until_heard(21)
        gate.set()

        assert {reply.body for reply in await replies_of(clients)} == {b"mine"}


async def test_a_failure_is_told_to_everybody_who_waits_and_the_next_asks_again() -> None:
    go = asyncio.Event()

    async def failing(heard: Heard, wire: Wire) -> None:
        await go.wait()
        wire.reset()

    origin = ScriptedOrigin()
    origin.on("/a", failing, ok(b"one", max_age=60))
    async with origin, gateway_before(origin) as world:
        clients = await crowd(world, 10)
        await until_waiting(world, 10)
        go.set()
        replies = await replies_of(clients)

        assert {reply.status for reply in replies} == {502}
        assert (await world.get("/a")).body == b"one"


async def test_variants_do_not_wait_for_one_another_once_the_first_head_is_there() -> None:
    go = asyncio.Event()

    async def varied(heard: Heard, wire: Wire) -> None:
        language = (heard.get("accept-language") or "").encode()
        head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nVary: Accept-Language\r\n"
        await wire.send(head + b"Content-Length: 4\r\n\r\n" + language)
        if language == b"de":
            await go.wait()
        await wire.send(language)

    async with scripted_origin(a=varied) as origin, gateway_before(origin) as world:
        slow = await world.connect()
        await slow.ask("/a", accept_language="de")
        await slow.head()
        quick = await world.get("/a", accept_language="fr")
        go.set()

        assert quick.body == b"frfr"
        assert await slow.reader.readexactly(4) == b"dede"
        assert len(origin.heard) == 2


async def test_a_slow_reader_holds_up_neither_the_others_nor_the_store() -> None:
    body = b"x" * (4 * 1024 * 1024)
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(body, max_age=60))

    async with scripted_origin(a=slow) as origin, gateway_before(origin) as world:
        idle, quick = await crowd(world, 2)
        await until_waiting(world, 2)
        go.set()

        assert len((await quick.reply()).body) == len(body)
        assert (await world.get("/a")).word == "HIT"
        assert len((await idle.reply()).body) == len(body)
        assert len(origin.heard) == 1


async def test_an_unstorable_answer_runs_only_so_far_ahead_of_its_one_reader() -> None:
    total = 64 * 1024 * 1024
    origin_done = asyncio.Event()

    async def large(heard: Heard, wire: Wire) -> None:
        await wire.send(
            b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n" % total
        )
        for _ in range(total // 65536):
            await wire.send(b"x" * 65536)
        origin_done.set()

    async with scripted_origin(a=large) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.ask("/a")
        await client.head()
        (fetch,) = {
            reader
            for connection in world.gateway.site.connections
            if (exchange := getattr(connection, "_exchange", None)) is not None
            and (reader := getattr(exchange, "_fetch", None)) is not None
        }
        await asyncio.sleep(0.3)
        waiting = sum(len(piece) for piece in fetch.pieces)

        assert not origin_done.is_set()
        assert waiting <= collapse.WINDOW_BYTES + 256 * 1024
        async with asyncio.timeout(20):
            assert len(await client.reader.readexactly(total)) == total


async def test_the_keys_that_go_side_by_side_are_bounded() -> None:
    async with scripted_origin() as origin, gateway_before(origin) as world:
        fetches = world.gateway._refreshes.fetches
        for number in range(20_000):
            fetches.remember_apart(b"%d" % number)

        assert len(fetches.side_by_side) <= 16_384
        assert fetches.apart(b"19999")
        assert not fetches.apart(b"0")


async def test_an_error_that_nobody_gave_a_lifetime_is_not_shared() -> None:
    async with scripted_origin(a=response("500 Oops", b"bad")) as origin:
        async with gateway_before(origin) as world:
            statuses = [(await world.get("/a")).status for _ in range(3)]

        assert statuses == [500, 500, 500]
        assert len(origin.heard) == 3
