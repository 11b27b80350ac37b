"""What goes wrong: at the origin, and in what clients send."""

import asyncio
import logging
import socket

import pytest

from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, scripted_origin
from tests.doubles.world import gateway_before

IMPATIENT = """
version: 1
origins:
  hub:
    servers: ["http://127.0.0.1:1"]
    timeouts: {connect: 200ms, first_byte: 300ms, between_bytes: 300ms, total: 1s}
    connections: {max: 1, waiting: 1}
"""


async def test_an_origin_that_is_down_is_502_at_once_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with gateway_before(f"http://127.0.0.1:{port}") as world:
        reply = await world.get("/a")
        with caplog.at_level(logging.WARNING, "gateway.origin"):
            world.pass_time(1)

    assert reply.status == 502
    assert reply.body == b'502 Bad Gateway: the origin "origin" refused the connection\n'
    assert reply.get("cache-control") == "no-store"
    assert "detail=origin-unreachable" in (reply.get("cache-status") or "")
    assert [record.message for record in caplog.records] == [
        "origin origin: origin-unreachable: the origin refused the connection (GET /a)"
    ]
    assert world.counters.origin_failures["origin"] == {"origin-unreachable": 1}


async def test_the_same_trouble_is_logged_once_a_second_with_its_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with gateway_before(f"http://127.0.0.1:{port}") as world:
        world.pass_time(0)
        caplog.clear()
        for number in range(5):
            await world.get(f"/{number}", "POST", content_length="0")
        with caplog.at_level(logging.WARNING, "gateway.origin"):
            world.pass_time(1)

    assert sum("times in a second" in record.message for record in caplog.records) <= 1
    assert 1 <= len(caplog.records) <= 2


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (b"", 502, b"closed the connection before a complete response head"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", 502, b"closed the connection before"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 502, b"no status line of HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nxx", 502, b"differ"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
            502,
            b"exclude one another",
        ),
        (b"HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n\r\n", 502, b"bare CR or LF"),
        (b"HTTP/1.1 200 OK\r\nA: 1\r\n B: 2\r\n\r\n", 502, b"folded"),
    ],
    ids=["silence", "half a head", "no http", "two lengths", "two framings", "bare LF", "folded"],
)
async def test_an_origin_that_makes_no_sense_is_502(
    answer: bytes, status: int, words: bytes
) -> None:
    async def say(heard: Heard, wire: Wire) -> None:
        await wire.send(answer)
        wire.writer.close()

    async with scripted_origin(a=say) as origin, gateway_before(origin) as world:
        reply = await world.get("/a")

        assert reply.status == status
        assert words in reply.body
        assert world.gateway.site.memory.objects == 0


async def test_an_origin_that_is_silent_is_504() -> None:
    async def silent(heard: Heard, wire: Wire) -> None:
        await wire.gone()

    async with scripted_origin(a=silent) as origin, gateway_before(origin, IMPATIENT) as world:
        reply = await world.get("/a")

        assert reply.status == 504
        assert b"sent no response head within" in reply.body
        assert "detail=origin-too-slow" in (reply.get("cache-status") or "")


async def test_an_origin_that_pauses_in_a_body_is_cut_off() -> None:
    async def pausing(heard: Heard, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await wire.gone()

    async with scripted_origin(a=pausing) as origin, gateway_before(origin, IMPATIENT) as world:
        client = await world.connect()
        await client.ask("/a")
        raw = await client.at_end()

        assert raw.endswith(b"half")


async def test_more_than_may_wait_is_503_with_retry_after() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"one", cache_control="no-store"))

    async with scripted_origin(a=slow) as origin, gateway_before(origin, IMPATIENT) as world:
        one = await world.connect()
        await one.ask("/a?1")
        await origin.until_heard(1)
        two = await world.connect()
        await two.ask("/a?2")
        await asyncio.sleep(0.02)
        reply = await world.get("/a?3")
        go.set()

        assert (reply.status, reply.get("retry-after")) == (503, "1")
        assert b"queue is full" in reply.body
        assert (await one.reply()).status == 200
        assert (await two.reply()).status == 200


async def test_a_kept_connection_that_the_origin_closed_is_replaced_unnoticed() -> None:
    origin = ScriptedOrigin()

    async def close_afterwards(heard: Heard, wire: Wire) -> None:
        await wire.send(ok(b"one", cache_control="no-store"))
        wire.writer.close()

    origin.on("/a", close_afterwards)
    async with origin, gateway_before(origin) as world:
        replies = [await world.get("/a") for _ in range(20)]

        assert {reply.status for reply in replies} == {200}
        assert origin.connections == 20


REFUSED = {
    "no HTTP": (b"hello\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 40, 400),
    "no Host": (b"GET /a HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "bad Host": (b"GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "other authority": (b"GET http://b/a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "bare LF": (b"GET /a HTTP/1.1\nHost: a\n\n", 400),
    "folded": (b"GET /a HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
    "space before colon": (b"GET /a HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    "NUL": (b"GET /a HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400),
    "length and coding": (
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "two lengths": (
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        400,
    ),
    "signed length": (b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
    "unknown coding": (b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    "chunked twice": (
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        400,
    ),
    "dot segment": (b"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "encoded slash": (b"GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
    "TRACE": (b"TRACE /a HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "long target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "large head": (b"GET /a HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
    "many fields": (b"GET /a HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 200 + b"\r\n", 431),
    "endless head": (b"GET /a HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000, 431),
    "strange expectation": (b"GET /a HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417),
}


@pytest.mark.parametrize(("request_bytes", "status"), REFUSED.values(), ids=REFUSED)
async def test_a_malformed_request_is_refused_and_ends_its_connection(
    request_bytes: bytes, status: int
) -> None:
    async with scripted_origin(a=ok(max_age=60)) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.send(request_bytes + b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        reply = await client.reply()

        assert reply.status == status
        assert reply.get("connection") == "close"
        assert reply.body.startswith(b"%d " % status)
        assert await client.at_end() == b""
        assert origin.heard == []
        assert world.counters.refused[status] == 1


async def test_a_broken_chunk_ends_the_exchange_before_the_origin_has_it_all() -> None:
    async with scripted_origin(a=ok()) as origin, gateway_before(origin) as world:
        client = await world.connect()
        await client.send(
            b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n"
        )
        reply = await client.reply()

        assert reply.status == 400
        assert await client.at_end() == b""
        assert origin.heard == []
