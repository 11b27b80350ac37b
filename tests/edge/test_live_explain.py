"""An answer explains itself to who knows the admin token, and to nobody else."""

import json
from typing import Any

import pytest

from gateway.edge.live_explain import LiveExplainer, signature
from tests.doubles.client import Reply
from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.world import World, gateway_before
from tests.edge.test_treatments import PUBLIC, rules

SECRET = b"the-token-of-the-operators"
RULES = rules(
    f"name: pages, match: {{path: /pages/*}}, {PUBLIC}",
    "name: off, match: {path: /off}, cache: off",
    'name: robots, match: {path: /robots.txt}, respond: {body: "x"}',
)


def an_origin() -> ScriptedOrigin:
    return ScriptedOrigin(
        {
            "/pages/a": [ok(b"a", cache_tag="posts")],
            "/pages/private": [ok(b"mine", cache_control="private")],
            "/off": [ok(b"off")],
        }
    )


def signed(world: World, target: str, *, method: str = "GET", at: float = 0.0) -> str:
    now = int(world.clock.now + at)
    return signature(SECRET, now, method, "hub.test", target)


async def explained(world: World, target: str) -> tuple[Reply, Any]:
    reply = await world.get(target, gateway_explain=signed(world, target))
    told = reply.get("gateway-explanation")
    return reply, None if told is None else json.loads(told)


def able(world: World) -> None:
    world.gateway.site.explainer = LiveExplainer(SECRET, world.clock)


async def test_a_miss_a_hit_and_what_isnt_stored_are_explained() -> None:
    origin = an_origin()
    async with origin, gateway_before(origin, RULES) as world:
        able(world)
        missed, first = await explained(world, "/pages/a")
        hit, second = await explained(world, "/pages/a")
        _, private = await explained(world, "/pages/private")
        _, off = await explained(world, "/off")
        _, robots = await explained(world, "/robots.txt")

    assert (missed.word, first["found"], first["why"]) == ("MISS", "to be fetched", "uri-miss")
    assert (first["route"], first["line"], first["origin_status"]) == ("pages", 4, 200)
    assert (hit.word, second["found"], second["variants"]) == ("HIT", "fresh", 1)
    assert second["stored"]["groups"] == ["posts"]
    assert second["key"] == {"host": "hub.test", "target": "/pages/a", "headers": [], "cookies": []}
    assert (private["not_stored"], private["section"]) == ("private", "RFC 9111 section 5.2.2.7")
    assert (off["cache"], off["bypass"]) == (False, "cache-off")
    assert robots["answered_by"] == "respond"


async def test_the_field_reaches_no_origin_and_changes_nothing_that_is_stored() -> None:
    origin = an_origin()
    async with origin, gateway_before(origin, RULES) as world:
        able(world)
        await explained(world, "/pages/a")
        await world.get("/off", gateway_explain="whatever")
        plain = [await world.get("/pages/a") for _ in range(3)]

    assert all(heard.get("gateway-explain") is None for heard in origin.heard)
    assert [reply.word for reply in plain] == ["HIT"] * 3
    assert all(reply.get("gateway-explanation") is None for reply in plain)


@pytest.mark.parametrize("target", ["/pages/a", "/off"])
async def test_a_request_that_comes_again_and_again_is_explained_each_time(target: str) -> None:
    origin = an_origin()
    async with origin, gateway_before(origin, RULES) as world:
        able(world)
        client = await world.connect()
        replies = [
            await client.get(target, gateway_explain=signed(world, target)) for _ in range(5)
        ]

    assert all(reply.get("gateway-explanation") for reply in replies)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(lambda world: signed(world, "/pages/b"), id="for-another-target"),
        pytest.param(lambda world: signed(world, "/pages/a", method="HEAD"), id="another-method"),
        pytest.param(lambda world: signed(world, "/pages/a", at=-301), id="too-old"),
        pytest.param(lambda world: signed(world, "/pages/a", at=301), id="of-the-future"),
        pytest.param(lambda world: signed(world, "/pages/a")[:-1] + "0g", id="changed"),
        pytest.param(lambda _: SECRET.decode(), id="the-token-itself"),
        pytest.param(lambda _: "1", id="a-flag"),
        pytest.param(lambda _: "9" * 5000, id="long"),
    ],
)
async def test_whoever_signs_otherwise_is_told_nothing(value: Any) -> None:
    origin = an_origin()
    async with origin, gateway_before(origin, RULES) as world:
        able(world)
        reply = await world.get("/pages/a", gateway_explain=value(world))

    assert (reply.status, reply.get("gateway-explanation")) == (200, None)


async def test_without_a_token_nobody_is_told_anything() -> None:
    origin = an_origin()
    async with origin, gateway_before(origin, RULES) as world:
        _, told = await explained(world, "/pages/a")

    assert told is None
