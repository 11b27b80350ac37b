"""Purges as clients notice them."""

import asyncio

import pytest

from gateway.storage.purges import Kind, Mode, Purge
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok
from tests.doubles.world import World, gateway_before

RULES = """\
version: 1
routes:
  - name: pages
    match: {path: /*}
    cache: {ttl: 60s, scope: public, stale_while_revalidate: 5m, key: {query: {sort: true}}}
"""


def counting() -> ScriptedOrigin:
    """Return an origin whose every answer under /a is another: the number of the request."""

    async def numbered(heard: Heard, wire: Wire) -> None:
        await wire.send(ok(b"%d" % len(origin.heard), cache_tag="all, page"))

    origin = ScriptedOrigin({"/a": [numbered]})
    return origin


def purge(world: World, purge: Purge) -> None:
    world.pass_time(1)
    world.gateway.purge([purge])
    world.pass_time(1)


async def test_after_a_soft_purge_what_is_stale_is_sent_and_refreshed() -> None:
    origin = counting()
    async with origin, gateway_before(origin, RULES) as world:
        client = await world.connect()
        for _ in range(4):
            await client.get("/a")
        purge(world, Purge(Kind.GROUP, b"page"))
        stale = await client.get("/a")
        await origin.until_heard(2)
        world.pass_time(1)
        fresh = await client.get("/a")

        assert (stale.word, stale.body) == ("STALE", b"1")
        assert (fresh.word, fresh.body) == ("HIT", b"2")


@pytest.mark.parametrize(
    ("mode", "word"), [(Mode.VALIDATE, "EXPIRED"), (Mode.HARD, "MISS")], ids=["validate", "hard"]
)
async def test_after_a_harder_purge_nobody_gets_what_was_stored(mode: Mode, word: str) -> None:
    origin = counting()
    async with origin, gateway_before(origin, RULES) as world:
        client = await world.connect()
        for _ in range(4):
            await client.get("/a")
        purge(world, Purge(Kind.URL, b"/a", mode=mode))
        reply = await client.get("/a")

        assert (reply.word, reply.body) == (word, b"2")


async def test_a_url_is_purged_in_the_form_in_which_it_is_stored() -> None:
    origin = counting()
    async with origin, gateway_before(origin, RULES) as world:
        client = await world.connect()
        await client.get("/a?b=2&a=1")
        assert (await client.get("/a?a=1&b=2")).word == "HIT"
        purge(world, Purge(Kind.URL, b"/a?b=2&a=1", mode=Mode.HARD))

        assert (await client.get("/a?a=1&b=2")).word == "MISS"


async def test_what_was_under_way_during_a_purge_is_not_used_again() -> None:
    going_on = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await going_on.wait()
        await wire.send(ok(b"old"))

    origin = counting()
    origin.on("/a", slow, *origin.answers["/a"])
    async with origin, gateway_before(origin, RULES) as world:
        first = asyncio.create_task(world.get("/a"))
        await origin.until_heard(1)
        purge(world, Purge(Kind.ALL, mode=Mode.HARD))
        going_on.set()

        assert (await first).body == b"old"
        assert (await world.get("/a")).body == b"2"


async def test_a_purge_told_before_the_start_holds() -> None:
    origin = counting()
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/a")
        world.gateway.remember([(Purge(Kind.ROUTE, b"pages", mode=Mode.HARD), world.clock() + 1)])

        assert (await world.get("/a")).word == "MISS"


async def test_a_write_tells_the_other_workers_what_it_made_wrong() -> None:
    told: list[Purge] = []

    async def writes(heard: Heard, wire: Wire) -> None:
        await wire.send(ok(b"", cache_group_invalidation='"page"'))

    origin = ScriptedOrigin({"/a": [writes]})
    async with origin, gateway_before(origin, RULES) as world:
        world.gateway.announce_to(told.extend)
        await world.get("/a?b&a", "POST", content_length="0")

        assert told == [
            Purge(Kind.URL, b"/a?a&b", b"hub.test", Mode.VALIDATE),
            Purge(Kind.GROUP, b"page", b"hub.test", Mode.VALIDATE),
        ]


async def test_who_comes_after_a_purge_does_not_wait_for_a_fetch_from_before_it() -> None:
    gate = asyncio.Event()
    answers = iter([b"old", b"new"])

    async def slowly(heard: Heard, wire: Wire) -> None:
        body = next(answers)
        if body == b"old":
            await gate.wait()
        await wire.send(ok(body, max_age=60))

    origin = ScriptedOrigin({"/a": [slowly]})
    async with origin, gateway_before(origin) as world:
        first = asyncio.create_task(world.get("/a"))
        await origin.until_heard(1)
        world.clock.now += 0.001
        world.gateway.purge([Purge(Kind.URL, b"/a", mode=Mode.HARD)])
        world.clock.now += 0.001
        second = await world.get("/a")
        gate.set()

        assert (await first).body == b"old"
        assert second.body == b"new"
        assert (await world.get("/a")).body == b"new"
