"""Writes that make stored responses wrong: by their target, by groups, while a fetch runs."""

import asyncio

from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, response
from tests.doubles.world import gateway_before


async def test_a_write_outdates_every_response_in_the_groups_that_it_names() -> None:
    async def numbered(heard: Heard, wire: Wire) -> None:
        if heard.line.startswith("POST"):
            await wire.send(response("204 No Content", cache_group_invalidation='"issues"'))
            return
        groups = '"org", "issues"' if "issues" in heard.line else '"org"'
        await wire.send(ok(b"%d" % len(origin.heard), max_age=60, cache_groups=groups))

    origin = ScriptedOrigin({path: [numbered] for path in ("/issues/1", "/issues/2", "/b", "/w")})
    async with origin, gateway_before(origin) as world:
        client = await world.connect()
        for _ in range(3):
            for path in ("/issues/1", "/issues/2", "/b"):
                await client.get(path)
        world.pass_time(1)
        await client.get("/w", "POST", content_length="0")
        after = [await client.get(path) for path in ("/issues/1", "/issues/2", "/b")]
        world.pass_time(1)
        later = [await client.get(path) for path in ("/issues/1", "/issues/2", "/b")]

        assert [reply.word for reply in after] == ["EXPIRED", "EXPIRED", "HIT"]
        assert [reply.word for reply in later] == ["HIT", "HIT", "HIT"]
        assert [reply.body for reply in later] == [reply.body for reply in after]


async def test_groups_of_one_host_are_not_those_of_another() -> None:
    async def grouped(heard: Heard, wire: Wire) -> None:
        if heard.line.startswith("POST"):
            await wire.send(response("204 No Content", cache_group_invalidation='"g"'))
        else:
            await wire.send(ok(b"one", max_age=60, cache_groups='"g"'))

    origin = ScriptedOrigin({"/a": [grouped], "/w": [grouped]})
    async with origin, gateway_before(origin) as world:
        await world.get("/a", host="one.test")
        await world.get("/a", host="two.test")
        world.pass_time(1)
        await world.get("/w", "POST", host="one.test", content_length="0")

        assert (await world.get("/a", host="one.test")).word == "EXPIRED"
        assert (await world.get("/a", host="two.test")).word == "HIT"


async def test_what_was_read_before_a_write_is_not_kept_after_it() -> None:
    go = asyncio.Event()

    async def old(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"old", max_age=60))

    async def written(heard: Heard, wire: Wire) -> None:
        await wire.send(response("204 No Content"))

    origin = ScriptedOrigin()
    origin.on("/a", old, written, ok(b"new", max_age=60))
    async with origin, gateway_before(origin) as world:
        early = await world.connect()
        await early.ask("/a")
        await origin.until_heard(1)
        await world.get("/a", "POST", content_length="0")
        meanwhile = await world.get("/a")
        go.set()
        first = await early.reply()
        after = await world.get("/a")

        assert first.body == b"old"
        assert (meanwhile.word, meanwhile.body) == ("MISS", b"new")
        assert (after.word, after.body) == ("HIT", b"new")
