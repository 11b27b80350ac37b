"""Passes that come again and again, and what is out of the ordinary among them."""

import asyncio

import pytest

from tests.doubles.origin import Answer, Heard, ScriptedOrigin, Wire, ok, response
from tests.doubles.world import gateway_before

SAME = ok(b"same", cache_control="no-store")


async def chunked(heard: Heard, wire: Wire) -> None:
    await wire.send(
        b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    )


async def in_two_pieces(heard: Heard, wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 6\r\n\r\none")
    await asyncio.sleep(0.02)
    await wire.send(b"two")


async def hinted(heard: Heard, wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SAME)


async def closing(heard: Heard, wire: Wire) -> None:
    await wire.send(ok(b"last", cache_control="no-store", connection="close"))
    wire.writer.close()


async def hanging_up(heard: Heard, wire: Wire) -> None:
    wire.reset()


async def nonsense(heard: Heard, wire: Wire) -> None:
    await wire.send(b"ICY 200 OK\r\n\r\n")


@pytest.mark.parametrize(
    ("odd", "status", "body"),
    [
        (SAME, 200, b"same"),
        (ok(b"other", cache_control="no-store"), 200, b"other"),
        (ok(b"size", cache_control="no-store", x="1"), 200, b"size"),
        (response("503 Down", b"down"), 503, b"down"),
        (response("204 No Content").replace(b"Content-Length: 0\r\n", b""), 204, b""),
        (chunked, 200, b"onetwo"),
        (in_two_pieces, 200, b"onetwo"),
        (hinted, 200, b"same"),
        (closing, 200, b"last"),
        (nonsense, 502, None),
    ],
    ids=[
        *("the same", "another body", "another head", "an error", "no content", "chunked"),
        *("in two pieces", "after a hint", "closing", "nonsense"),
    ],
)
async def test_an_odd_answer_among_many_of_the_same_is_sent_on_as_it_is(
    odd: Answer, status: int, body: bytes | None
) -> None:
    origin = ScriptedOrigin()
    origin.on("/a", *[SAME] * 5, odd, *[SAME] * 5)
    async with origin, gateway_before(origin) as world:
        client = await world.connect()
        before = [await client.get("/a") for _ in range(5)]
        reply = await client.get("/a")
        after = [await client.get("/a") for _ in range(5)]

        assert {each.body for each in (*before, *after)} == {b"same"}
        assert reply.status == status
        assert body is None or reply.body == body
        assert len(origin.heard) == 11
        world.gateway.reading()
        words = {labels[1]: count for labels, count in world.counters.requests.items()}
        assert set(words) == {"PASS"}
        assert sum(world.counters.requests.values()) == 11
        assert world.counters.origin_latency["origin"].buckets != [0] * 14
        assert world.counters.exchanges_running == 0


async def test_a_repeated_pass_over_a_dead_connection_is_sent_once_more() -> None:
    origin = ScriptedOrigin()
    origin.on("/a", *[SAME] * 3, hanging_up, SAME)
    async with origin, gateway_before(origin) as world:
        client = await world.connect()
        replies = [await client.get("/a") for _ in range(6)]

        assert {(reply.status, reply.body) for reply in replies} == {(200, b"same")}
        assert len(origin.heard) == 7
        assert origin.connections == 2


async def test_a_repeated_pass_that_fails_twice_is_502() -> None:
    origin = ScriptedOrigin()
    origin.on("/a", *[SAME] * 3, hanging_up)
    async with origin, gateway_before(origin) as world:
        client = await world.connect()
        replies = [await client.get("/a") for _ in range(4)]

        assert [reply.status for reply in replies] == [200, 200, 200, 502]
        assert len(origin.heard) == 5


async def test_a_repeated_pass_to_a_silent_origin_is_504() -> None:
    async def silent(heard: Heard, wire: Wire) -> None:
        await wire.gone()

    rules = """
version: 1
origins: {hub: {servers: ["http://127.0.0.1:1"], timeouts: {first_byte: 200ms}}}
"""
    origin = ScriptedOrigin()
    origin.on("/a", *[SAME] * 3, silent)
    async with origin, gateway_before(origin, rules) as world:
        client = await world.connect()
        replies = [await client.get("/a") for _ in range(4)]

        assert [reply.status for reply in replies] == [200, 200, 200, 504]
        assert world.counters.origin_failures["hub"]["origin-too-slow"] == 1


async def test_a_client_that_leaves_during_a_repeated_pass_lets_go_of_its_connection() -> None:
    gone = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await wire.gone()
        gone.set()

    origin = ScriptedOrigin()
    origin.on("/a", *[SAME] * 3, slow)
    async with origin, gateway_before(origin) as world:
        client = await world.connect()
        for _ in range(3):
            await client.get("/a")
        await client.ask("/a")
        await origin.until_heard(4)
        client.reset()
        await asyncio.wait_for(gone.wait(), 5)

        assert world.counters.exchanges_running == 0
        assert world.counters.requests["all", "PASS", 4] == 1


async def test_a_repeated_pass_under_way_while_draining_ends_its_connection() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(SAME)

    origin = ScriptedOrigin()
    origin.on("/a", *[SAME] * 3, slow)
    async with origin, gateway_before(origin) as world:
        client = await world.connect()
        for _ in range(3):
            await client.get("/a")
        await client.ask("/a")
        await origin.until_heard(4)
        draining = asyncio.ensure_future(world.gateway.drain(10))
        await asyncio.sleep(0.02)
        go.set()
        reply = await client.reply()
        await asyncio.wait_for(draining, 5)

        assert (reply.body, reply.get("connection")) == (b"same", "close")
        assert await client.at_end() == b""


async def test_pipelined_repeated_passes_are_answered_in_order() -> None:
    async def numbered(heard: Heard, wire: Wire) -> None:
        await wire.send(ok(b"%04d" % len(origin.heard), cache_control="no-store"))

    origin = ScriptedOrigin({"/a": [numbered]})
    async with origin, gateway_before(origin) as world:
        client = await world.connect()
        for _ in range(3):
            await client.get("/a")
        await client.send(b"GET /a HTTP/1.1\r\nHost: hub.test\r\n\r\n" * 50)
        bodies = [(await client.reply()).body for _ in range(50)]

        assert bodies == [b"%04d" % number for number in range(4, 54)]


async def test_each_client_is_named_to_the_origin() -> None:
    origin = ScriptedOrigin({"/a": [SAME]})
    async with origin, gateway_before(origin) as world:
        for _ in range(6):
            await world.get("/a")

        assert {heard.get("x-forwarded-for") for heard in origin.heard} == {"127.0.0.1"}
        assert {heard.get("forwarded") for heard in origin.heard} == {
            'for=127.0.0.1;host="hub.test";proto=http'
        }
