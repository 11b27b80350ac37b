"""Bodies on their way in both directions: framing, streaming, back-pressure, their ends."""

import asyncio

import pytest

from tests.doubles.origin import Heard, Wire, ok, read_body, response, scripted_origin
from tests.doubles.world import gateway_before

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
MEGABYTE = 1024 * 1024


async def echo(heard: Heard, wire: Wire) -> None:
    framing = heard.get("transfer-encoding") or heard.get("content-length") or "none"
    await wire.send(response("200 OK", heard.body, x_framing=framing))


@pytest.mark.parametrize("size", [0, 1, 5, 70_000, 3 * MEGABYTE])
async def test_a_sized_body_reaches_the_origin_as_it_is(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with scripted_origin(a=echo) as origin, gateway_before(origin) as world:
        client = await world.connect()
        head = f"POST /a HTTP/1.1\r\nHost: hub.test\r\nContent-Length: {size}\r\n\r\n".encode()
        await client.send(head + body)
        reply = await client.reply()
        await client.send(head + body)

        assert (reply.body, reply.get("x-framing")) == (body, str(size))
        assert (await client.reply()).body == body


async def test_a_chunked_body_reaches_the_origin_in_chunks() -> None:
    async with scripted_origin(a=echo) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.send(
            b"PUT /a HTTP/1.1\r\nHost: hub.test\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;ext=1\r\none\r\n"
        )
        await client.send(b"3\r\ntwo\r\n0\r\nX-Trailer: 1\r\n\r\n")
        reply = await client.reply()
        after = await client.get("/nothing")

        assert (reply.body, reply.get("x-framing")) == (b"onetwo", "chunked")
        assert after.status == 404


async def test_a_chunked_response_is_streamed_piece_by_piece() -> None:
    arrived = asyncio.Event()

    async def events(heard: Heard, wire: Wire) -> None:
        await wire.send(CHUNKED + b"Content-Type: text/event-stream\r\n\r\n6\r\ndata:1\r\n")
        await arrived.wait()
        await wire.send(b"6\r\ndata:2\r\n0\r\n\r\n")

    async with scripted_origin(a=events) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.ask("/a")
        head = await client.head()
        first = await client.chunk()
        arrived.set()
        second = await client.chunk()
        last = await client.chunk()

        assert head.get("content-type") == "text/event-stream"
        assert (first, second, last) == (b"data:1", b"data:2", b"")


async def test_a_body_that_ends_with_its_connection_is_sent_in_chunks() -> None:
    async def until_close(heard: Heard, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nall of it")
        wire.writer.close()

    async with scripted_origin(a=until_close) as origin, gateway_before(origin) as world:
        first = await world.get("/a")
        second = await world.get("/a")

        assert (first.get("transfer-encoding"), first.body) == ("chunked", b"all of it")
        assert (second.word, second.get("content-length")) == ("HIT", "9")


async def test_trailers_go_to_clients_that_take_them_and_to_no_others() -> None:
    async def with_trailers(heard: Heard, wire: Wire) -> None:
        await wire.send(CHUNKED + b"\r\n3\r\none\r\n0\r\nX-Sum: 1\r\n\r\n")

    async with scripted_origin(a=with_trailers) as origin, gateway_before(origin) as world:
        willing = await world.get("/a", te="trailers")
        other = await world.get("/a")

        assert willing.trailers == [("X-Sum", "1")]
        assert other.trailers == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nCache-Control: max-age=60\r\n\r\nhalf",
        CHUNKED + b"Cache-Control: max-age=60\r\n\r\n64\r\nhalf",
        CHUNKED + b"Cache-Control: max-age=60\r\n\r\n4\r\nhalf\r\n",
        CHUNKED + b"Cache-Control: max-age=60\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ],
    ids=["sized", "inside a chunk", "between chunks", "no chunk at all"],
)
async def test_a_truncated_response_is_broken_off_and_never_stored(answer: bytes) -> None:
    async def truncated(heard: Heard, wire: Wire) -> None:
        await wire.send(answer)
        wire.writer.close()

    async with scripted_origin(a=truncated) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.ask("/a")
        raw = await client.at_end()

        _, _, body = raw.partition(b"\r\n\r\n")
        assert len(body) < 100
        assert not body.endswith(b"0\r\n\r\n")
        assert world.gateway.site.memory.objects == 0
        assert world.counters.origin_failures["origin"]["truncated"] == 1


async def test_a_slow_client_holds_back_its_origin_and_not_the_memory() -> None:
    sent = 0
    stopped = asyncio.Event()

    async def large(heard: Heard, wire: Wire) -> None:
        nonlocal sent
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MEGABYTE))
        for _ in range(64 * 16):
            wire.writer.write(b"x" * 65536)
            try:
                await asyncio.wait_for(wire.writer.drain(), 0.3)
            except TimeoutError:
                stopped.set()
                await wire.writer.drain()
            sent += 65536

    async with scripted_origin(a=large) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.ask("/a")
        await asyncio.wait_for(stopped.wait(), 10)
        held = sent
        reply = await client.reply()

        # What is on its way fits in the buffers of four sockets, ours, and the test's own.
        assert held < 32 * MEGABYTE
        assert len(reply.body) == 64 * MEGABYTE


async def test_a_slow_origin_holds_back_its_client_and_not_the_memory() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        # Announced with Expect, so that the origin's double leaves the body to us.
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await go.wait()
        body = await read_body(wire.reader, heard)
        await wire.send(response("200 OK", b"%d" % len(body)))

    async with scripted_origin(a=slow) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.send(
            b"POST /a HTTP/1.1\r\nHost: hub.test\r\nExpect: 100-continue\r\n"
            b"Content-Length: %d\r\n\r\n" % (32 * MEGABYTE)
        )
        interim = await client.head()
        written = 0
        while written < 32 * MEGABYTE:
            client.writer.write(b"x" * MEGABYTE)
            written += MEGABYTE
            try:
                await asyncio.wait_for(client.writer.drain(), 0.3)
            except TimeoutError:
                break
        held_back_at = written
        go.set()
        await client.send(b"x" * (32 * MEGABYTE - written))
        reply = await client.reply()

        assert interim.status == 100
        assert held_back_at < 24 * MEGABYTE
        assert reply.body == b"%d" % (32 * MEGABYTE)


async def test_interim_responses_reach_clients_that_know_them() -> None:
    async def hinting(heard: Heard, wire: Wire) -> None:
        await wire.send(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
            + ok(b"page", cache_control="no-store")
        )

    async with scripted_origin(a=hinting) as origin, gateway_before(origin) as world:
        reply = await world.get("/a")
        old = await world.connect()
        await old.send(b"GET /a HTTP/1.0\r\nHost: hub.test\r\n\r\n")

        assert [hint.status for hint in reply.interim] == [103]
        assert reply.interim[0].get("link") == "</a.css>; rel=preload"
        assert reply.body == b"page"
        assert (await old.reply()).interim == []


async def test_continue_is_asked_of_the_origin_and_passed_on() -> None:
    async def polite(heard: Heard, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await read_body(wire.reader, heard)
        await wire.send(response("200 OK", body))

    async with scripted_origin(a=polite) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.send(
            b"POST /a HTTP/1.1\r\nHost: hub.test\r\nExpect: 100-Continue\r\n"
            b"Content-Length: 4\r\n\r\n"
        )
        first = await client.head()
        await client.send(b"body")
        reply = await client.reply()

        assert first.status == 100
        assert (reply.status, reply.body) == (200, b"body")
        assert origin.heard[0].get("expect") == "100-Continue"


async def test_a_get_with_a_body_is_not_answered_from_the_cache() -> None:
    async with scripted_origin(a=ok(b"one", max_age=60)) as origin, gateway_before(origin) as world:
        await world.get("/a")
        client = await world.connect()
        await client.send(b"GET /a HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 4\r\n\r\nbody")
        reply = await client.reply()

        assert reply.word == "BYPASS"
        assert origin.heard[1].body == b"body"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_statuses_without_a_body_have_none(status: str) -> None:
    bare = f"HTTP/1.1 {status}\r\nCache-Control: no-store\r\n\r\n".encode()
    async with scripted_origin(a=bare) as origin, gateway_before(origin) as world:
        client = await world.connect()
        reply = await client.get("/a", "POST", content_length="0")
        after = await client.get("/nothing")

        assert reply.status == int(status[:3])
        assert reply.get("content-length") is None
        assert reply.get("transfer-encoding") is None
        assert after.status == 404
