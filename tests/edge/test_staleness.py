"""Stale responses: served while a new one is fetched, and in place of errors."""

import asyncio

import pytest

from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, response, scripted_origin
from tests.doubles.world import World, gateway_before

RULES = """
version: 1
origins:
  hub:
    servers: ["http://127.0.0.1:1"]
    timeouts: {connect: 500ms, first_byte: 2s}
defaults: {cache: {scope: public, ttl: 60s}}
routes:
  - {name: swr, match: {path: /swr}, cache: {stale_while_revalidate: 5m}}
  - {name: sie, match: {path: /sie}, cache: {stale_if_error: {for: 1h, after: 200ms}}}
  - {name: strict, match: {path: /strict}}
"""


async def settled(world: World) -> None:
    """Wait until no fetch is under way."""
    fetches = world.gateway._refreshes.fetches
    async with asyncio.timeout(10):
        while fetches._by_key:  # noqa: ASYNC110 - a plain dict
            await asyncio.sleep(0.005)


async def test_a_stale_response_is_sent_at_once_while_one_new_one_is_fetched() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"two"))

    origin = ScriptedOrigin()
    origin.on("/swr", ok(b"one"), slow)
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/swr")
        world.pass_time(61)
        replies = [await world.get("/swr") for _ in range(5)]
        go.set()
        await settled(world)
        after = await world.get("/swr")

        assert [(reply.word, reply.body) for reply in replies] == [
            ("STALE", b"one"),
            *[("UPDATING", b"one")] * 4,
        ]
        assert replies[0].get("cache-status") == "gateway; hit; ttl=-1"
        assert replies[0].get("age") == "61"
        assert (after.word, after.body) == ("HIT", b"two")
        assert len(origin.heard) == 2


async def test_a_refresh_is_a_validation_where_that_is_possible() -> None:
    origin = ScriptedOrigin()
    not_modified = b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n'
    origin.on("/swr", ok(b"one", etag='"1"'), not_modified)
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/swr")
        world.pass_time(61)
        await world.get("/swr")
        await settled(world)
        after = await world.get("/swr")

        assert origin.heard[1].get("if-none-match") == '"1"'
        assert (after.word, after.body) == ("HIT", b"one")


async def test_a_refresh_that_fails_is_not_tried_again_by_every_request() -> None:
    origin = ScriptedOrigin()
    origin.on("/swr", ok(b"one"), response("503 Down"))
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/swr")
        world.pass_time(61)
        for _ in range(10):
            reply = await world.get("/swr")
            assert (reply.status, reply.body) == (200, b"one")
            await settled(world)

        assert len(origin.heard) == 2


async def test_beyond_its_time_a_stale_response_is_not_sent() -> None:
    origin = ScriptedOrigin()
    origin.on("/swr", ok(b"one"), ok(b"two"))
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/swr")
        world.pass_time(60 + 300 + 1)
        reply = await world.get("/swr")

        assert (reply.word, reply.body) == ("EXPIRED", b"two")


async def test_what_the_origin_says_on_a_refresh_replaces_what_was_stored() -> None:
    origin = ScriptedOrigin()
    origin.on("/swr", ok(b"one"), response("404 Not Found", b"gone"))
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/swr")
        world.pass_time(61)
        stale = await world.get("/swr")
        await settled(world)
        after = await world.get("/swr")

        assert (stale.status, stale.body) == (200, b"one")
        assert (after.status, after.body) == (404, b"gone")


async def test_the_origin_may_ask_for_it_itself() -> None:
    answer = "max-age=60, stale-while-revalidate=60"
    origin = ScriptedOrigin()
    origin.on("/a", ok(b"one", cache_control=answer), ok(b"two", cache_control=answer))
    async with origin, gateway_before(origin) as world:
        await world.get("/a")
        world.pass_time(61)
        stale = await world.get("/a")
        await settled(world)

        assert (stale.word, stale.body) == ("STALE", b"one")
        assert (await world.get("/a")).body == b"two"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_an_error_of_the_origin_is_covered_by_something_stale(status: int) -> None:
    origin = ScriptedOrigin()
    origin.on("/sie", ok(b"one"), response(f"{status} Oops", b"bad"))
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/sie")
        world.pass_time(61)
        replies = [await world.get("/sie") for _ in range(3)]

        assert [(reply.status, reply.word, reply.body) for reply in replies] == [
            (200, "STALE", b"one")
        ] * 3
        assert f"fwd-status={status}" in (replies[0].get("cache-status") or "")


@pytest.mark.parametrize("status", [401, 403, 404, 429, 501])
async def test_what_the_origin_says_to_the_client_is_covered_by_nothing(status: int) -> None:
    origin = ScriptedOrigin()
    origin.on("/sie", ok(b"one"), response(f"{status} No", b"no"))
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/sie")
        world.pass_time(61)
        reply = await world.get("/sie")

        assert (reply.status, reply.body) == (status, b"no")


async def test_an_origin_that_hangs_up_is_covered_by_something_stale() -> None:
    async def hang_up(heard: Heard, wire: Wire) -> None:
        wire.reset()

    origin = ScriptedOrigin()
    origin.on("/sie", ok(b"one"), hang_up)
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/sie")
        world.pass_time(61)
        reply = await world.get("/sie")

        assert (reply.status, reply.word, reply.body) == (200, "STALE", b"one")
        assert reply.get("cache-status") == "gateway; fwd=stale; ttl=-1; detail=stale-if-error"


async def test_an_origin_that_is_slow_is_waited_for_only_so_long() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"two"))

    origin = ScriptedOrigin()
    origin.on("/sie", ok(b"one"), slow)
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/sie")
        world.pass_time(61)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        first = await world.get("/sie")
        waited = loop.time() - begun
        begun = loop.time()
        second = await world.get("/sie")
        not_waited = loop.time() - begun
        go.set()
        await settled(world)
        after = await world.get("/sie")

        assert (first.word, first.body, second.body) == ("STALE", b"one", b"one")
        assert 0.15 < waited < 1.5
        assert not_waited < 0.15
        assert (after.word, after.body) == ("HIT", b"two")
        assert len(origin.heard) == 2


async def test_without_leave_an_error_is_an_error() -> None:
    origin = ScriptedOrigin()
    origin.on("/strict", ok(b"one"), response("503 Down", b"bad"))
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/strict")
        world.pass_time(61)
        reply = await world.get("/strict")

        assert (reply.status, reply.body) == (503, b"bad")


async def test_must_revalidate_forbids_what_is_stale() -> None:
    origin = ScriptedOrigin()
    origin.on("/sie", ok(b"one", cache_control="must-revalidate"), response("503 Down"))
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/sie")
        world.pass_time(61)

        assert (await world.get("/sie")).status == 503


async def test_waiting_clients_all_get_what_is_stale_when_their_fetch_fails() -> None:
    go = asyncio.Event()

    async def failing(heard: Heard, wire: Wire) -> None:
        await go.wait()
        wire.reset()

    rules = RULES.replace("{for: 1h, after: 200ms}", "1h")
    origin = ScriptedOrigin()
    origin.on("/sie", ok(b"one"), failing)
    async with origin, gateway_before(origin, rules) as world:
        await world.get("/sie")
        world.pass_time(61)
        clients = [await world.connect() for _ in range(20)]
        for client in clients:
            await client.ask("/sie")
        await origin.until_heard(2)
        async with asyncio.timeout(5):
            while world.counters.exchanges_running < 20:  # noqa: ASYNC110 - a plain counter
                await asyncio.sleep(0.005)
        go.set()
        replies = [await client.reply() for client in clients]

        assert {(reply.status, reply.word, reply.body) for reply in replies} == {
            (200, "STALE", b"one")
        }
        # One fetch, and its repetition: the connection was a kept one.
        assert len(origin.heard) <= 3


async def test_max_stale_takes_what_is_stale_without_asking() -> None:
    async with scripted_origin(a=ok(b"one", max_age=60)) as origin, gateway_before(origin) as world:
        await world.get("/a")
        world.pass_time(70)
        willing = await world.get("/a", cache_control="max-stale=30")

        assert (willing.word, willing.body) == ("STALE", b"one")
        assert len(origin.heard) == 1


async def test_jitter_shortens_lifetimes_by_chance() -> None:
    rules = """
version: 1
routes: [{name: a, match: {path: /*}, cache: {ttl: 1000s, scope: public, jitter: 50%}}]
"""
    async with scripted_origin(a=ok(b"one")) as origin, gateway_before(origin, rules) as world:
        for number in range(50):
            await world.get(f"/a?{number}")
        lifetimes = [shelf.variants[0].lifetime for shelf in world.gateway.site.memory]

        assert len(set(lifetimes)) > 40
        assert all(500 <= lifetime <= 1000 for lifetime in lifetimes)


async def test_what_is_asked_for_often_is_refreshed_before_it_is_stale() -> None:
    rules = """
version: 1
routes: [{name: a, match: {path: /*}, cache: {ttl: 100s, scope: public, early_refresh: true}}]
"""
    origin = ScriptedOrigin()
    origin.on("/a", ok(b"one"), ok(b"two"))
    async with origin, gateway_before(origin, rules) as world:
        await world.get("/a")
        world.gateway.site.chance = lambda: 1.0 - 2.0**-53
        early = await world.get("/a")
        world.pass_time(99.98)
        hit = await world.get("/a")
        await settled(world)
        after = await world.get("/a")

        assert (early.word, early.body) == ("HIT", b"one")
        assert (hit.word, hit.body) == ("HIT", b"one")
        assert (after.word, after.body, after.get("age")) == ("HIT", b"two", "0")
        assert len(origin.heard) == 2


async def test_what_a_post_says_a_get_would_bring_is_kept() -> None:
    posted = ok(b"made", max_age=60, content_location="/a")
    async with scripted_origin(a=posted) as origin, gateway_before(origin) as world:
        await world.get("/a", "POST", content_length="0")
        reply = await world.get("/a")

        assert (reply.word, reply.body) == ("HIT", b"made")
        assert len(origin.heard) == 1


async def test_errors_live_as_long_as_the_rules_say_for_them_and_never_like_a_success() -> None:
    rules = """
version: 1
routes:
  - {name: a, match: {path: /a/*}, cache: {ttl: 1y, scope: public, status_ttl: {404: 10s}}}
  - {name: b, match: {path: /*}, cache: {ttl: 1y, scope: public}}
"""
    origin = ScriptedOrigin()
    for path in ("/a/x", "/b/x"):
        origin.on(path, response("404 Not Found", b"no", cache_control="max-age=1000"))
    async with origin, gateway_before(origin, rules) as world:
        named = [(await world.get("/a/x")).word for _ in range(2)]
        world.pass_time(11)
        later = await world.get("/a/x")
        unnamed = [(await world.get("/b/x")).word for _ in range(2)]

        assert named == ["MISS", "HIT"]
        assert later.word != "HIT"
        assert "HIT" not in unnamed
        assert "max-age=1000" not in (later.get("cache-control") or "")
