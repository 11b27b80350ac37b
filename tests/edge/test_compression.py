"""Bodies leave in the coding that a client takes, and are encoded once."""

import asyncio
import json
import random
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from gateway.edge import encoders
from gateway.policy.negotiation import Coding
from tests.doubles.client import Reply
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, response
from tests.doubles.world import World, gateway_before

RULES = """\
version: 1
defaults: {compress: {encodings: [br, zstd, gzip, deflate], recompress: 5}}
routes:
  - {name: live, match: {path: [/live, /live/*]}, cache: off}
  - {name: plain, match: {path: /plain}, compress: off, cache: {ttl: 60s, scope: public}}
  - {name: lists, match: {path: /*}, cache: {ttl: 60s, scope: public}}
"""
CHANCE = random.Random(7)
WORDS = ["".join(CHANCE.choices("abcdefghijklmnopqrstuvwxyz", k=5)) for _ in range(400)]
PROSE = " ".join(CHANCE.choices(WORDS, k=8000)).encode()
LIST = json.dumps([{"id": each, "title": f"issue {each}"} for each in range(800)]).encode()
CODINGS = ["br", "zstd", "gzip", "deflate"]


def a_list(body: bytes = LIST, **fields: str) -> bytes:
    return response(body=body, **{"content_type": "application/json", **fields})


def plain(reply: Reply) -> bytes:
    """Return the body as a client reads it; by other decoders than the gateway's own."""
    match reply.get("content-encoding"):
        case "br":
            decoded: bytes = brotli.decompress(reply.body)
            return decoded
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(reply.body)
        case "gzip":
            return zlib.decompress(reply.body, 31)
        case "deflate":
            return zlib.decompress(reply.body)
        case None:
            return reply.body
        case other:
            raise AssertionError(other)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("path", ["/list", "/live"])
async def test_a_client_gets_the_coding_that_it_takes(coding: str, path: str) -> None:
    origin = ScriptedOrigin({path: [a_list()]})
    async with origin, gateway_before(origin, RULES) as world:
        replies = [await world.get(path, accept_encoding=coding) for _ in range(3)]

    for reply in replies:
        assert reply.get("content-encoding") == coding
        assert plain(reply) == LIST
        assert reply.get("vary") == "Accept-Encoding"
        assert len(reply.body) < 0.4 * len(LIST)
        assert reply.get("content-length") == str(len(reply.body))
        saved = round(100 - 100 * len(reply.body) / len(LIST))
        assert reply.get("x-compression-ratio") == f"{saved}%"
    assert [reply.word for reply in replies] == (
        ["MISS", "HIT", "HIT"] if path == "/list" else ["BYPASS"] * 3
    )


async def test_one_fetch_serves_every_coding_and_each_is_made_once() -> None:
    origin = ScriptedOrigin({"/list": [a_list()]})
    async with origin, gateway_before(origin, RULES) as world:
        for _ in range(3):
            for coding in [*CODINGS, "identity"]:
                reply = await world.get("/list", accept_encoding=coding)
                assert plain(reply) == LIST
        made = world.gateway.reading().encodings

    assert len(origin.heard) == 1
    assert sorted((each.route, each.coding, each.bodies) for each in made) == sorted(
        ("lists", coding, 1) for coding in CODINGS
    )
    assert all(0 < each.encoded_bytes < each.plain_bytes for each in made)


async def test_who_asks_at_once_waits_for_one_encoding() -> None:
    origin = ScriptedOrigin({"/list": [a_list(LIST * 20)]})
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/list")
        replies = await asyncio.gather(
            *(world.get("/list", accept_encoding="br") for _ in range(20))
        )
        made = world.gateway.reading().encodings

    assert {plain(reply) for reply in replies} == {LIST * 20}
    assert [each.bodies for each in made] == [1]


@pytest.mark.parametrize("path", ["/list", "/live"])
async def test_what_is_encoded_already_short_or_not_to_be_changed_stays(path: str) -> None:
    packed = zlib.compress(LIST, wbits=31)
    answers = [
        a_list(b"short"),
        a_list(cache_control="max-age=9, no-transform"),
        ok(LIST, content_type="image/png"),
        ok(packed, content_type="text/css", content_encoding="gzip", vary="Accept-Encoding"),
    ]
    for answer in answers:
        origin = ScriptedOrigin({path: [answer]})
        async with origin, gateway_before(origin, RULES) as world:
            replies = [await world.get(path, accept_encoding="gzip") for _ in range(2)]
        for reply in replies:
            assert reply.body == answer.partition(b"\r\n\r\n")[2]
            assert reply.get("x-compression-ratio") is None


async def test_a_route_can_do_without() -> None:
    origin = ScriptedOrigin({"/plain": [a_list()]})
    async with origin, gateway_before(origin, RULES) as world:
        reply = await world.get("/plain", accept_encoding="br")

    assert reply.get("content-encoding") is None
    assert reply.get("vary") is None
    assert origin.heard[0].get("accept-encoding") == "br"


async def test_spellings_of_accept_encoding_share_what_an_origin_varies_on() -> None:
    packed = brotli.compress(LIST)
    fields = {
        "content_type": "text/javascript",
        "content_encoding": "br",
        "vary": "Accept-Encoding",
    }
    origin = ScriptedOrigin({"/a.js": [response(body=packed, **fields)]})
    async with origin, gateway_before(origin, RULES) as world:
        replies = [
            await world.get("/a.js", accept_encoding=each)
            for each in ["br", "gzip, deflate, br", "gzip;q=0.5, br;q=0.9", "*"]
        ]

    assert [each.get("accept-encoding") for each in origin.heard] == ["br"]
    assert {plain(reply) for reply in replies} == {LIST}
    assert [reply.word for reply in replies] == ["MISS", "HIT", "HIT", "HIT"]


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity"])
async def test_what_comes_as_brotli_is_decoded_for_who_takes_another(coding: str) -> None:
    packed = brotli.compress(LIST)
    answer = ok(packed, content_type="text/css", content_encoding="br", etag='"a"')
    origin = ScriptedOrigin({"/a.css": [answer]})
    async with origin, gateway_before(origin, RULES) as world:
        replies = [await world.get("/a.css", accept_encoding=coding) for _ in range(3)]
        as_it_came = await world.get("/a.css", accept_encoding="br")

    for reply in replies:
        assert reply.get("content-encoding") == (None if coding == "identity" else coding)
        assert plain(reply) == LIST
        assert (reply.get("etag") or "").startswith('W/"')
    assert [reply.word for reply in replies] == ["MISS", "HIT", "HIT"]
    assert as_it_came.body == packed
    assert as_it_came.get("etag") == '"a"'
    assert len(origin.heard) == 1


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip", "deflate"])
@pytest.mark.parametrize("fault", ["bomb", "cut", "garbage"])
async def test_a_body_that_cant_be_decoded_is_the_origins_fault(coding: str, fault: str) -> None:
    size = 20_000_000 if fault == "bomb" else 20_000
    packed = encoders.encode(Coding(coding), b"0123456789" * (size // 10))
    body = {"bomb": packed, "cut": packed[:-9], "garbage": b"no such thing" * 99}[fault]
    other = "gzip" if coding != "gzip" else "br"
    origin = ScriptedOrigin({"/a": [ok(body, content_type="text/css", content_encoding=coding)]})
    async with origin, gateway_before(origin, RULES) as world:
        reply = await world.get("/a", accept_encoding=other)
        still_serves = await world.get("/a", accept_encoding=coding)

    assert reply.status == 502
    assert still_serves.body == body


async def test_each_variant_answers_its_own_conditions() -> None:
    origin = ScriptedOrigin({"/list": [a_list(etag='"v1"')]})
    async with origin, gateway_before(origin, RULES) as world:
        tags = {
            coding: (await world.get("/list", accept_encoding=coding)).get("etag") or ""
            for coding in [*CODINGS, "identity"]
        }
        assert len(set(tags.values())) == 5
        for coding in tags:
            for other, tag in tags.items():
                reply = await world.get("/list", accept_encoding=coding, if_none_match=tag)
                assert reply.status == (304 if coding == other else 200)
                assert reply.get("vary") == "Accept-Encoding"
                if reply.status == 304:
                    assert reply.get("etag") == tag
    assert len(origin.heard) == 1


async def test_ranges_are_of_the_encoded_bytes() -> None:
    origin = ScriptedOrigin({"/list": [a_list(etag='"v1"')]})
    async with origin, gateway_before(origin, RULES) as world:
        whole = await world.get("/list", accept_encoding="br")
        tag = whole.get("etag") or ""
        parts = [
            await world.get("/list", accept_encoding="br", range=each, if_range=tag)
            for each in ["bytes=0-99", "bytes=100-"]
        ]
        other = await world.get("/list", accept_encoding="gzip", range="bytes=0-9", if_range=tag)

    assert [part.status for part in parts] == [206, 206]
    assert b"".join(part.body for part in parts) == whole.body
    assert {part.get("content-encoding") for part in parts} == {"br"}
    assert (other.status, plain(other)) == (200, LIST)


async def in_pieces(wire: Wire, head: str, pieces: list[bytes], each: asyncio.Event) -> None:
    await wire.send(f"HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    for piece in pieces:
        await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await each.wait()
        each.clear()
    await wire.send(b"0\r\n\r\n")


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("path", ["/live", "/stored"])
async def test_what_an_origin_said_so_far_arrives_at_once(coding: str, path: str) -> None:
    read = asyncio.Event()
    events = [b"data: %d %b\n\n" % (each, b"x" * (20 * each)) for each in range(1, 1200, 400)]

    async def stream(heard: Heard, wire: Wire) -> None:
        await in_pieces(wire, "Content-Type: text/event-stream\r\n", events, read)

    origin = ScriptedOrigin({path: [stream]})
    async with origin, gateway_before(origin, RULES) as world:
        client = await world.connect()
        await client.ask(path, accept_encoding=coding)
        head = await client.head()
        decoder = decoder_of(coding)
        for event in events:
            seen = b""
            while len(seen) < len(event):
                seen += decoder(await client.chunk())
            assert seen == event
            read.set()
        while await client.chunk():
            pass

    assert head.get("content-encoding") == coding
    assert head.get("content-length") is None


def decoder_of(coding: str) -> Callable[[bytes], bytes]:
    match coding:
        case "br":
            process: Callable[[bytes], bytes] = brotli.Decompressor().process
            return process
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress
        case "gzip":
            return zlib.decompressobj(31).decompress
        case _:
            return zlib.decompressobj().decompress


async def test_a_streamed_miss_is_stored_as_it_was_encoded() -> None:
    pieces = [LIST] * 30
    go_on = asyncio.Event()
    go_on.set()

    async def stream(heard: Heard, wire: Wire) -> None:
        head = 'Content-Type: application/json\r\nETag: "v1"\r\nContent-Length: '
        await wire.send(f"HTTP/1.1 200 OK\r\n{head}{len(LIST) * 30}\r\n\r\n".encode())
        for piece in pieces:
            await wire.send(piece)

    origin = ScriptedOrigin({"/list": [stream]})
    async with origin, gateway_before(origin, RULES) as world:
        misses = await asyncio.gather(
            *(world.get("/list", accept_encoding="br") for _ in range(5)),
            world.get("/list", accept_encoding="gzip"),
            world.get("/list"),
        )
        hit = await world.get("/list", accept_encoding="br")
        again = await world.get(
            "/list", accept_encoding="br", if_none_match=misses[0].get("etag") or ""
        )
        made = {each.coding: each.bodies for each in world.gateway.reading().encodings}

    assert {plain(reply) for reply in (*misses, hit)} == {LIST * 30}
    assert misses[0].get("etag") == 'W/"v1-br"'
    assert hit.body == misses[0].body
    assert hit.word == "HIT"
    assert again.status == 304
    assert made == {"br": 1, "gzip": 1}
    assert len(origin.heard) == 1


async def test_an_origin_that_breaks_off_breaks_the_encoded_answer_off() -> None:
    async def stream(heard: Heard, wire: Wire) -> None:
        await wire.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: 9999\r\n\r\n"
        )
        await wire.send(b"x" * 3000)
        wire.reset()

    for path in ["/live", "/stored"]:
        origin = ScriptedOrigin({path: [stream]})
        async with origin, gateway_before(origin, RULES) as world:
            client = await world.connect()
            await client.ask(path, accept_encoding="gzip")
            answer = await client.at_end()
        assert b"0\r\n\r\n" not in answer


@pytest.mark.parametrize("path", ["/live", "/stored"])
async def test_a_client_that_takes_nothing_holds_the_origin_back(path: str) -> None:
    sent = 0
    noise = bytes(range(256)) * 256

    async def flood(heard: Heard, wire: Wire) -> None:
        nonlocal sent
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nCache-Control: no-store\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n")  # fmt: skip
        for each in range(400):
            # Each piece differs, so that encoding saves little of it.
            piece = bytes(a ^ (each & 255) for a in noise[:1024]) + secrets_of(each)
            await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            sent += len(piece)
        await wire.send(b"0\r\n\r\n")

    origin = ScriptedOrigin({path: [flood]})
    async with origin, gateway_before(origin, RULES) as world:
        client = await world.connect()
        await client.ask(path, accept_encoding="gzip")
        reply = await client.reply()

    assert len(plain(reply)) == sent


def secrets_of(seed: int) -> bytes:
    return random.Random(seed).randbytes(64 * 1024)


async def hits(world: World, count: int) -> list[Reply]:
    client = await world.connect()
    return [await client.get("/list", accept_encoding="br") for _ in range(count)]


async def test_what_is_asked_for_often_gets_smaller() -> None:
    origin = ScriptedOrigin({"/list": [a_list(PROSE, etag='"v1"')]})
    async with origin, gateway_before(origin, RULES) as world:
        first = (await hits(world, 1))[0]
        await hits(world, 20)
        world.pass_time(1)
        async with asyncio.timeout(10):
            while len(world.gateway.reading().encodings) < 2:
                await world.get("/list", accept_encoding="br")
        best = (await hits(world, 1))[0]
        old = await world.get("/list", accept_encoding="br", if_none_match=first.get("etag") or "")
        levels = {each.level for each in world.gateway.reading().encodings}

    assert len(best.body) < len(first.body)
    assert plain(best) == PROSE
    assert old.status == 304
    assert levels == {4, 11}
    assert len(origin.heard) == 1


async def test_head_tells_the_length_that_get_brings() -> None:
    origin = ScriptedOrigin({"/list": [a_list()]})
    async with origin, gateway_before(origin, RULES) as world:
        reply = await world.get("/list", accept_encoding="br")
        head = await world.get("/list", "HEAD", accept_encoding="br")

    assert head.word == "HIT"
    assert head.get("content-length") == reply.get("content-length")
    assert head.get("content-encoding") == "br"


async def test_an_error_in_place_of_what_was_compressed_stays_readable() -> None:
    origin = ScriptedOrigin(
        {"/list": [response("500 Oops", LIST, content_type="application/json")]}
    )
    async with origin, gateway_before(origin, RULES) as world:
        reply = await world.get("/list", accept_encoding="br")

    assert reply.status == 500
    assert plain(reply) == LIST


async def test_an_http_1_0_client_gets_an_encoded_body_until_the_end() -> None:
    async def stream(heard: Heard, wire: Wire) -> None:
        await wire.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(LIST), LIST))

    origin = ScriptedOrigin({"/live": [stream]})
    async with origin, gateway_before(origin, RULES) as world:
        client = await world.connect()
        await client.send(b"GET /live HTTP/1.0\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        answer = await client.at_end()

    assert zlib.decompress(answer.partition(b"\r\n\r\n")[2], 31) == LIST


async def test_the_guard_leaves_private_answers_to_queries_as_they_are() -> None:
    text = "version: 1\ndefaults: {compress: {with_query: false}}\nroutes:\n"
    text += "  - {match: {path: /mine}, cache: off}\n"
    text += "  - {match: {path: /all}, cache: {ttl: 60s, scope: public}}\n"
    origin = ScriptedOrigin({"/mine": [a_list()], "/all": [a_list()]})
    async with origin, gateway_before(origin, text) as world:
        codings = [
            (await world.get(path, accept_encoding="br")).get("content-encoding")
            for path in ["/mine?q=guess", "/mine", "/all?q=guess"]
        ]

    assert codings == [None, "br", "br"]
