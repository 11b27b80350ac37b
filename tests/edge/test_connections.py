"""A client's connection: its requests one after the other, its time, its end."""

import asyncio

import pytest

from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, response, scripted_origin
from tests.doubles.world import gateway_before

BRIEF = """
version: 1
limits: {head_timeout: 300ms, idle_timeout: 300ms, send_timeout: 300ms}
"""


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"slow", cache_control="no-store"))

    origin = ScriptedOrigin({"/slow": [slow], "/hit": [ok(b"hit", max_age=60)]})
    origin.on("/pass", ok(b"pass", cache_control="no-store"))
    async with origin, gateway_before(origin) as world:
        await world.get("/hit")
        client = await world.connect()
        targets = ["/hit", "/slow", "/hit", "/pass", "/slow", "/hit"]
        await client.send(
            b"".join(f"GET {each} HTTP/1.1\r\nHost: hub.test\r\n\r\n".encode() for each in targets)
        )
        first = await client.reply()
        go.set()
        rest = [await client.reply() for _ in targets[1:]]

        assert first.body == b"hit"
        assert [reply.body for reply in rest] == [b"slow", b"hit", b"pass", b"slow", b"hit"]


async def test_a_thousand_pipelined_hits_are_all_answered() -> None:
    async with scripted_origin(a=ok(b"one", max_age=60)) as origin, gateway_before(origin) as world:
        await world.get("/a")
        client = await world.connect()
        await client.send(b"GET /a HTTP/1.1\r\nHost: hub.test\r\n\r\n" * 1000)
        replies = [await client.reply() for _ in range(1000)]

        assert {(reply.status, reply.body, reply.word) for reply in replies} == {
            (200, b"one", "HIT")
        }


async def test_a_head_may_arrive_byte_by_byte() -> None:
    async with scripted_origin(a=ok(b"one", max_age=60)) as origin, gateway_before(origin) as world:
        client = await world.connect()
        for octet in b"\r\nGET /a HTTP/1.1\r\nHost: hub.test\r\n\r\n":
            await client.send(bytes([octet]))
            await asyncio.sleep(0)

        assert (await client.reply()).body == b"one"


@pytest.mark.parametrize(
    ("version", "field", "goes_on"),
    [
        ("1.1", "X-Nothing: 1", True),
        ("1.1", "Connection: keep-alive", True),
        ("1.1", "Connection: close", False),
        ("1.1", "Connection: foo, CLOSE", False),
        ("1.0", "X-Nothing: 1", False),
        ("1.0", "Connection: Keep-Alive", True),
    ],
)
@pytest.mark.parametrize("target", ["/hit", "/pass"])
async def test_a_connection_goes_on_when_the_client_wants_it(
    version: str, field: str, goes_on: bool, target: str
) -> None:
    origin = ScriptedOrigin({"/hit": [ok(b"hit", max_age=60)]})
    origin.on("/pass", ok(b"pass", cache_control="no-store"))
    async with origin, gateway_before(origin) as world:
        await world.get("/hit")
        client = await world.connect()
        request = f"GET {target} HTTP/{version}\r\nHost: hub.test\r\n{field}\r\n\r\n".encode()
        await client.send(request)
        first = await client.reply()

        assert first.body == target[1:].encode()
        assert (first.get("connection") == "close") is not goes_on
        if goes_on:
            await client.send(request)
            assert (await client.reply()).body == target[1:].encode()
        else:
            assert await client.at_end() == b""


async def test_an_old_client_gets_a_body_of_unknown_length_until_the_connection_closes() -> None:
    async def chunked(heard: Heard, wire: Wire) -> None:
        await wire.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        )

    async with scripted_origin(a=chunked) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply = await client.reply()

        assert reply.get("transfer-encoding") is None
        assert reply.get("connection") == "close"
        assert reply.body == b"onetwo"


async def test_a_client_that_half_closes_still_gets_its_answer() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"late", cache_control="no-store"))

    async with scripted_origin(a=slow) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.ask("/a")
        client.writer.write_eof()
        await origin.until_heard(1)
        go.set()

        assert (await client.reply()).body == b"late"
        assert await client.at_end() == b""


async def test_an_idle_connection_is_closed_in_time_and_a_busy_one_is_not() -> None:
    answer = ok(b"one", max_age=60)
    async with scripted_origin(a=answer) as origin, gateway_before(origin, BRIEF) as world:
        idle = await world.connect()
        assert (await idle.get("/a")).status == 200
        loop = asyncio.get_running_loop()
        start = loop.time()
        rest = await idle.at_end()
        waited = loop.time() - start

        assert rest == b""
        assert 0.2 < waited < 3


async def test_a_head_that_takes_too_long_is_answered_408() -> None:
    async with scripted_origin() as origin, gateway_before(origin, BRIEF) as world:
        client = await world.connect()
        await client.send(b"GET /a HTTP/1.1\r\nHost: hub.te")
        reply = await client.reply()

        assert reply.status == 408
        assert reply.get("connection") == "close"
        assert await client.at_end() == b""
        assert origin.heard == []


async def test_a_body_that_stops_arriving_is_answered_408() -> None:
    async with scripted_origin(a=ok()) as origin, gateway_before(origin, BRIEF) as world:
        client = await world.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 10\r\n\r\nhalf")
        reply = await client.reply()

        assert reply.status == 408
        assert await client.at_end() == b""


async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    async def endless(heard: Heard, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        wire.flood()
        await wire.gone()
        cut_off.set()

    cut_off = asyncio.Event()
    async with scripted_origin(a=endless) as origin, gateway_before(origin, BRIEF) as world:
        client = await world.connect()
        await client.ask("/a")
        await asyncio.wait_for(cut_off.wait(), 8)

        assert world.counters.connections_open == 0
        assert world.counters.exchanges_running == 0


async def test_drain_lets_a_running_exchange_finish_and_closes_idle_connections() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"late", cache_control="no-store"))

    origin = ScriptedOrigin({"/slow": [slow], "/hit": [ok(b"hit", max_age=60)]})
    async with origin, gateway_before(origin) as world:
        idle = await world.connect()
        await idle.get("/hit")
        busy = await world.connect()
        await busy.ask("/slow")
        await origin.until_heard(2)
        draining = asyncio.ensure_future(world.gateway.drain(10))

        assert await idle.at_end() == b""
        assert not draining.done()
        go.set()
        late = await busy.reply()
        await asyncio.wait_for(draining, 5)

        assert (late.body, late.get("connection")) == (b"late", "close")
        assert await busy.at_end() == b""


async def test_drain_answers_a_client_that_had_just_connected() -> None:
    async with scripted_origin(a=ok(b"one", max_age=60)) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await asyncio.sleep(0.05)
        draining = asyncio.ensure_future(world.gateway.drain(10))
        await asyncio.sleep(0.05)
        reply = await client.get("/a")

        assert (reply.body, reply.get("connection")) == (b"one", "close")
        await asyncio.wait_for(draining, 5)


async def test_drain_breaks_off_what_takes_longer_than_its_limit() -> None:
    async def never(heard: Heard, wire: Wire) -> None:
        await wire.gone()

    async with scripted_origin(a=never) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.ask("/a")
        await origin.until_heard(1)
        await asyncio.wait_for(world.gateway.drain(0.1), 5)

        assert await client.at_end() == b""
        assert world.counters.exchanges_running == 0


async def test_a_write_answered_early_ends_the_connection_after_its_answer() -> None:
    async def hasty(heard: Heard, wire: Wire) -> None:
        await wire.send(response("401 Unauthorized", b"no"))

    async with scripted_origin(a=hasty) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.send(
            b"POST /a HTTP/1.1\r\nHost: hub.test\r\nExpect: 100-continue\r\n"
            b"Content-Length: 1000000\r\n\r\n"
        )
        reply = await client.reply()

        assert (reply.status, reply.body) == (401, b"no")
        assert reply.get("connection") == "close"
        assert await client.at_end() == b""


async def test_a_client_that_closes_a_stream_of_events_is_gone() -> None:
    left = asyncio.Event()

    async def events(heard: Heard, wire: Wire) -> None:
        await wire.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n6\r\ndata:1\r\n"
        )
        await wire.gone()
        left.set()

    async with scripted_origin(a=events) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.ask("/a")
        await client.head()
        await client.chunk()
        client.writer.write_eof()
        await asyncio.wait_for(left.wait(), 5)

        assert world.counters.exchanges_running == 0
