"""While a release replaces another, pages of both find their files."""

import pytest

from gateway.storage.purges import Kind, Mode, Purge
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, response
from tests.doubles.world import World, gateway_before

RULES = """\
version: 1
defaults: {cache: {scope: public, status_ttl: {404: 10s}}}
routes:
  - name: static
    match: {path: /static/*}
    cache: {ttl: 1y, browser_ttl: 1y, immutable: true, stale_if_gone: 1h}
  - {name: pages, match: {path: /*}, cache: {ttl: 1y}}
"""
GONE = response("404 Not Found", b"no such file", cache_control="public, max-age=31536000")
CHUNK = ok(b"old chunk", content_type="text/javascript", etag='"old"')


def soft(world: World, mode: Mode = Mode.SOFT) -> None:
    world.pass_time(1)
    world.gateway.purge([Purge(Kind.ALL, mode=mode)])
    world.pass_time(1)


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
async def test_a_file_of_the_last_release_outlives_it_for_a_while(status: str) -> None:
    origin = ScriptedOrigin({"/static/old.js": [CHUNK, response(status, b"no such file")]})
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/static/old.js")
        soft(world)
        replies = [await world.get("/static/old.js") for _ in range(3)]
        world.pass_time(3000)
        later = await world.get("/static/old.js")
        world.pass_time(700)
        last = await world.get("/static/old.js")

    for reply in [*replies, later]:
        assert (reply.status, reply.body, reply.word) == (200, b"old chunk", "STALE")
        assert (reply.get("cache-control") or "").startswith("public, max-age=31536000")
    assert last.status == int(status[:3])


@pytest.mark.parametrize("mode", [Mode.HARD, Mode.VALIDATE])
async def test_what_was_purged_for_good_is_gone(mode: Mode) -> None:
    origin = ScriptedOrigin({"/static/old.js": [CHUNK, GONE]})
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/static/old.js")
        soft(world, mode)
        assert (await world.get("/static/old.js")).status == 404
        assert (await world.get("/static/old.js")).status == 404


async def test_elsewhere_gone_is_gone() -> None:
    origin = ScriptedOrigin({"/page": [ok(b"page"), GONE]})
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/page")
        soft(world)
        replies = [await world.get("/page") for _ in range(2)]

    assert [reply.status for reply in replies] == [404, 404]


async def test_what_was_gone_and_is_back_is_used_again() -> None:
    origin = ScriptedOrigin({"/static/old.js": [CHUNK, GONE, ok(b"back", etag='"new"')]})
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/static/old.js")
        soft(world)
        bodies = [(await world.get("/static/old.js")).body for _ in range(3)]

    assert bodies == [b"old chunk", b"back", b"back"]


async def test_a_file_that_comes_with_the_next_replica_is_missing_for_seconds_only() -> None:
    origin = ScriptedOrigin({"/static/new.js": [GONE, ok(b"new chunk")]})
    async with origin, gateway_before(origin, RULES) as world:
        missing = await world.get("/static/new.js")
        world.pass_time(11)
        found = await world.get("/static/new.js")

    assert missing.status == 404
    assert missing.get("cache-control") == "no-cache"
    assert (found.status, found.body) == (200, b"new chunk")


async def test_a_head_of_a_file_that_is_gone_tells_of_what_is_kept() -> None:
    async def only_old(heard: Heard, wire: Wire) -> None:
        await wire.send(CHUNK if len(origin.heard) == 1 else response("404 Not Found"))

    origin = ScriptedOrigin({"/static/old.js": [only_old]})
    async with origin, gateway_before(origin, RULES) as world:
        await world.get("/static/old.js")
        soft(world)
        head = await world.get("/static/old.js", "HEAD")
        whole = await world.get("/static/old.js")

    assert (head.status, head.word, whole.status) == (200, "STALE", 200)
