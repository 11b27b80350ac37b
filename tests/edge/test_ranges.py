"""Parts of responses."""

import pytest

from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, response, scripted_origin
from tests.doubles.world import gateway_before

BODY = bytes(range(256)) * 40


async def in_parts(heard: Heard, wire: Wire) -> None:
    """Answer a range with a part, and all else with the whole, as an origin does."""
    asked = heard.get("range")
    if asked is None:
        await wire.send(ok(BODY, max_age=60, etag='"1"'))
        return
    first, last = (int(text) for text in asked.removeprefix("bytes=").split("-"))
    part = BODY[first : last + 1]
    told = f"bytes {first}-{last}/{len(BODY)}"
    await wire.send(
        response("206 Partial Content", part, content_range=told, cache_control="max-age=60")
    )


@pytest.mark.parametrize(
    ("asked", "status", "told", "body"),
    [
        ("bytes=0-99", 206, "bytes 0-99/10240", BODY[:100]),
        ("bytes=10000-", 206, "bytes 10000-10239/10240", BODY[10000:]),
        ("bytes=-5", 206, "bytes 10235-10239/10240", BODY[-5:]),
        ("bytes=10240-", 416, "bytes */10240", b""),
        ("lines=1-2", 200, None, BODY),
        ("bytes=5-1", 200, None, BODY),
    ],
)
async def test_what_is_stored_answers_any_range(
    asked: str, status: int, told: str | None, body: bytes
) -> None:
    async with scripted_origin(a=in_parts) as origin, gateway_before(origin) as world:
        await world.get("/a")
        client = await world.connect()
        replies = [await client.get("/a", range=asked) for _ in range(3)]

        for reply in replies:
            assert (reply.status, reply.get("content-range")) == (status, told)
            assert reply.body == body
            assert reply.word == "HIT"
        assert len(origin.heard) == 1


async def test_several_ranges_come_as_parts_of_one_answer() -> None:
    async with scripted_origin(a=in_parts) as origin, gateway_before(origin) as world:
        await world.get("/a")
        reply = await world.get("/a", range="bytes=0-1,10-11")

        kind = reply.get("content-type") or ""
        assert reply.status == 206
        assert kind.startswith("multipart/byteranges; boundary=")
        boundary = kind.partition("boundary=")[2].strip('"').encode()
        assert reply.body.count(b"--" + boundary) == 3
        assert BODY[:2] in reply.body
        assert BODY[10:12] in reply.body


async def test_a_range_of_what_is_not_stored_costs_the_origin_no_more_than_the_range() -> None:
    async with scripted_origin(a=in_parts) as origin, gateway_before(origin) as world:
        reply = await world.get("/a", range="bytes=0-9")

        assert (reply.status, reply.body) == (206, BODY[:10])
        assert origin.heard[0].get("range") == "bytes=0-9"
        assert world.gateway.site.memory.objects == 0


async def test_a_route_may_fetch_the_whole_for_a_range() -> None:
    rules = """
version: 1
routes: [{name: a, match: {path: /*}, cache: {scope: public, whole_for_range: true}}]
"""
    async with scripted_origin(a=in_parts) as origin, gateway_before(origin, rules) as world:
        first = await world.get("/a", range="bytes=0-9")
        second = await world.get("/a", range="bytes=10-19")

        assert (first.status, first.body, first.word) == (206, BODY[:10], "MISS")
        assert (second.status, second.body, second.word) == (206, BODY[10:20], "HIT")
        assert [heard.get("range") for heard in origin.heard] == [None]


async def test_the_whole_that_is_too_large_for_its_range_is_sent_whole() -> None:
    rules = """
version: 1
tiers: {memory: {size: 1MB, max_object: 64KB}}
routes: [{name: a, match: {path: /*}, cache: {scope: public, whole_for_range: true}}]
"""

    async def growing(heard: Heard, wire: Wire) -> None:
        await wire.send(
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(40):
            await wire.send(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        await wire.send(b"0\r\n\r\n")

    async with scripted_origin(a=growing) as origin, gateway_before(origin, rules) as world:
        reply = await world.get("/a", range="bytes=0-9")

        assert (reply.status, len(reply.body)) == (200, 40 * 0x1000)


async def test_if_range_that_no_longer_holds_brings_the_whole() -> None:
    async with scripted_origin(a=in_parts) as origin, gateway_before(origin) as world:
        await world.get("/a")
        same = await world.get("/a", range="bytes=0-9", if_range='"1"')
        other = await world.get("/a", range="bytes=0-9", if_range='"2"')

        assert (same.status, len(same.body)) == (206, 10)
        assert (other.status, len(other.body)) == (200, len(BODY))


async def test_a_stale_response_is_validated_before_a_part_of_it_is_sent() -> None:
    origin = ScriptedOrigin()
    not_modified = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n'
    origin.on("/a", ok(BODY, max_age=60, etag='"1"'), not_modified)
    async with origin, gateway_before(origin) as world:
        await world.get("/a")
        world.pass_time(61)
        reply = await world.get("/a", range="bytes=0-9")

        assert (reply.status, reply.word, reply.body) == (206, "REVALIDATED", BODY[:10])
        assert origin.heard[1].get("range") is None


async def test_an_expired_response_gives_way_and_the_part_is_of_the_new_one() -> None:
    origin = ScriptedOrigin()
    origin.on("/a", ok(BODY, max_age=60, etag='"1"'), ok(b"y" * 50, max_age=60, etag='"2"'))
    async with origin, gateway_before(origin) as world:
        await world.get("/a")
        world.pass_time(61)
        reply = await world.get("/a", range="bytes=40-")

        assert (reply.status, reply.word, reply.body) == (206, "EXPIRED", b"y" * 10)
        assert reply.get("content-range") == "bytes 40-49/50"
