"""What clients may take of a worker, and what one that wants more is told."""

import asyncio
import contextlib
import socket

import pytest

from tests.doubles.client import RawClient
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, scripted_origin
from tests.doubles.serving import until
from tests.doubles.world import World, gateway_before


def limited(**limits: str | int) -> str:
    lines = "".join(f"  {name}: {value}\n" for name, value in limits.items())
    return f"version: 1\nlimits:\n{lines}"


async def refused(world: World) -> int:
    client = await world.connect()
    reply = await client.reply()
    assert reply.get("connection") == "close"
    assert reply.get("retry-after") == "1"
    assert await client.at_end() == b""
    return reply.status


async def closed(world: World, client: RawClient) -> None:
    """Close *client* and wait until the gateway has noticed."""
    left = world.counters.connections_open - 1
    client.close()
    await until(lambda: world.counters.connections_open <= left)


async def test_a_connection_beyond_the_limit_gets_503_and_the_others_do_not_notice() -> None:
    rules = limited(connections=2)
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        gateway_before(origin, rules) as world,
    ):
        first, second = await world.connect(), await world.connect()
        assert (await first.get("/a")).status == 200

        assert await refused(world) == 503

        assert (await first.get("/a")).status == 200
        assert (await second.get("/a")).status == 200
        await closed(world, second)
        assert (await world.get("/a")).status == 200


async def test_a_client_with_too_many_connections_gets_429_and_other_addresses_do_not() -> None:
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        gateway_before(origin, limited(connections_per_client=1)) as world,
    ):
        first = await world.connect()
        assert (await first.get("/a")).status == 200

        assert await refused(world) == 429

        other = RawClient(
            *await asyncio.open_connection(*world.address, local_addr=("127.0.0.2", 0))
        )
        assert (await other.get("/a")).status == 200
        other.close()


async def test_a_flood_of_refused_connections_leaves_nothing_behind() -> None:
    async with (
        ScriptedOrigin({"/a": [ok(b"a", max_age=60)]}) as origin,
        gateway_before(origin, limited(connections=1)) as world,
    ):
        first = await world.connect()
        assert (await first.get("/a")).status == 200
        for _ in range(50):
            assert await refused(world) == 503

        world.close_clients()
        await until(lambda: not world.counters.connections_open)

        assert world.gateway.site.crowd.open == 0
        assert world.gateway.site.crowd.lingering == 0


async def test_a_request_too_many_at_a_time_gets_503_but_hits_are_answered() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"late", cache_control="no-store"))

    async with (
        scripted_origin(slow=slow, hit=ok(b"hit", max_age=60)) as origin,
        gateway_before(origin, limited(requests=1)) as world,
    ):
        await world.get("/hit")
        waiting = await world.connect()
        await waiting.ask("/slow")
        await origin.until_heard(2)

        reply = await world.get("/other")
        assert reply.status == 503
        assert reply.get("retry-after") == "1"
        assert (await world.get("/hit")).word == "HIT"

        go.set()
        assert (await waiting.reply()).body == b"late"


@pytest.mark.parametrize(
    "body", [b"Content-Length: 2000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n7d0\r\n"]
)
async def test_a_body_longer_than_the_default_limit_gets_413(body: bytes) -> None:
    async with ScriptedOrigin({}) as origin, gateway_before(origin, limited(body="1KB")) as world:
        client = await world.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: hub.test\r\n" + body + b"x" * 2000)

        assert (await client.reply()).status == 413
        assert origin.heard == [] or origin.heard[0].body != b"x" * 2000


async def test_what_a_route_says_about_bodies_beats_the_default_limit() -> None:
    rules = limited(body="1KB") + "routes: [{match: {path: /up}, max_body: 1MB}]\n"
    async with (
        ScriptedOrigin({"/up": [ok(b"taken")]}) as origin,
        gateway_before(origin, rules) as world,
    ):
        client = await world.connect()
        head = b"POST /up HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 2000\r\n\r\n"
        await client.send(head + b"x" * 2000)

        assert (await client.reply()).body == b"taken"


async def test_a_body_that_only_trickles_in_gets_408_although_it_never_stops() -> None:
    # Each byte comes well before send_timeout; together they are slower than is accepted.
    rules = limited(head_timeout="500ms", send_timeout="30s", min_rate="1KB")
    async with ScriptedOrigin({}) as origin, gateway_before(origin, rules) as world:
        client = await world.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 1000\r\n\r\n")

        async def trickle() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    await client.send(b"x")
                    await asyncio.sleep(0.02)

        trickling = asyncio.create_task(trickle())
        reply = await client.reply()
        trickling.cancel()
        assert reply.status == 408


async def test_a_steady_body_is_taken_however_long_it_takes() -> None:
    rules = limited(head_timeout="300ms", send_timeout="1s", min_rate="256B")
    async with (
        ScriptedOrigin({"/a": [ok(b"taken")]}) as origin,
        gateway_before(origin, rules) as world,
    ):
        client = await world.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 4000\r\n\r\n")
        for _ in range(40):
            await client.send(b"x" * 100)
            await asyncio.sleep(0.03)

        assert (await client.reply()).body == b"taken"


@pytest.mark.parametrize("size", [300_000, 4_000_000], ids=["in buffers", "streamed"])
async def test_a_client_that_reads_nothing_of_its_answer_is_cut_off(size: int) -> None:
    rules = limited(idle_timeout="300ms", send_timeout="300ms")
    async with (
        ScriptedOrigin({"/big": [ok(b"x" * size, cache_control="no-store")]}) as origin,
        gateway_before(origin, rules) as world,
    ):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, world.address)
        client = RawClient(*await asyncio.open_connection(sock=sock, limit=1024))
        await client.ask("/big")
        await origin.until_heard(1)

        await until(lambda: not world.counters.connections_open)
        client.close()


async def test_a_client_that_reads_slowly_but_steadily_gets_its_last_answer_whole() -> None:
    rules = limited(send_timeout="1s", min_rate="1KB")
    body = b"x" * 3_000_000
    async with (
        ScriptedOrigin({"/big": [ok(body, cache_control="no-store")]}) as origin,
        gateway_before(origin, rules) as world,
    ):
        client = await world.connect()
        await client.ask("/big", connection="close")
        async with asyncio.timeout(20):
            await client.reader.readuntil(b"\r\n\r\n")
            received = 0
            while piece := await client.reader.read(30_000):
                received += len(piece)
                await asyncio.sleep(0.025)

        assert received == len(body)
