"""Other rules, while requests are being answered."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.config.build import load
from gateway.edge.snapshot import Snapshot
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok
from tests.doubles.world import gateway_before

ON = "version: 1\nroutes: [{name: a, match: {path: /*}, cache: {ttl: 60s, scope: public}}]\n"
OFF = "version: 1\nroutes: [{name: b, match: {path: /*}, cache: off}]\n"


def snapshot(text: str, origin: ScriptedOrigin) -> Snapshot:
    with TemporaryDirectory() as directory:
        file = Path(directory) / "rules.yaml"
        file.write_text(text)
        return load(file, {}, origin.url)


async def test_new_rules_hold_for_the_very_next_request_of_a_known_head() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"one")]})
    async with origin, gateway_before(origin, ON) as world:
        client = await world.connect()
        before = [(await client.get("/a")).word for _ in range(5)]
        world.gateway.adopt(snapshot(OFF, origin))
        during = [(await client.get("/a")).word for _ in range(5)]
        world.gateway.adopt(snapshot(ON, origin))
        after = [(await client.get("/a")).word for _ in range(2)]

        assert before == ["MISS", "HIT", "HIT", "HIT", "HIT"]
        assert during == ["BYPASS"] * 5
        # What was stored under the same key means the same again.
        assert after == ["HIT", "HIT"]


async def test_what_is_being_answered_ends_as_it_began() -> None:
    go = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        await go.wait()
        await wire.send(ok(b"late"))

    origin = ScriptedOrigin({"/a": [slow]})
    async with origin, gateway_before(origin, ON) as world:
        client = await world.connect()
        await client.ask("/a")
        await origin.until_heard(1)
        world.gateway.adopt(snapshot(OFF, origin))
        go.set()
        reply = await client.reply()

        assert (reply.body, reply.word) == (b"late", "MISS")
        assert (await client.get("/a")).word == "BYPASS"


async def test_a_shorter_lifetime_holds_for_what_is_stored_already() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"one")]})
    async with origin, gateway_before(origin, ON) as world:
        await world.get("/a")
        world.gateway.adopt(snapshot(ON.replace("60s", "10s"), origin))
        fresh = await world.get("/a")
        world.pass_time(11)
        stale = await world.get("/a")

        assert (fresh.word, fresh.get("cache-status")) == ("HIT", "gateway; hit; ttl=10")
        assert stale.word != "HIT"


async def test_another_server_gets_the_requests_from_then_on() -> None:
    one = ScriptedOrigin({"/a": [ok(b"one", cache_control="no-store")]})
    two = ScriptedOrigin({"/a": [ok(b"two", cache_control="no-store")]})
    async with one, two, gateway_before(one, OFF) as world:
        client = await world.connect()
        first = [(await client.get("/a")).body for _ in range(3)]
        world.gateway.adopt(snapshot(OFF, two))
        second = [(await client.get("/a")).body for _ in range(3)]

        assert (first, second) == ([b"one"] * 3, [b"two"] * 3)


async def test_no_request_is_lost_while_rules_change_again_and_again() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"one")]})
    async with origin, gateway_before(origin, ON) as world:
        snapshots = [snapshot(text, origin) for text in (OFF, ON)]
        done = asyncio.Event()

        async def ask() -> int:
            client = await world.connect()
            count = 0
            while not done.is_set():
                reply = await client.get("/a")
                assert (reply.status, reply.body) == (200, b"one")
                count += 1
            return count

        clients = [asyncio.ensure_future(ask()) for _ in range(8)]
        for number in range(60):
            await asyncio.sleep(0.005)
            world.gateway.adopt(snapshots[number % 2])
        done.set()
        counts = await asyncio.gather(*clients)

        assert min(counts) > 10
