"""What one client can't have stored for others, however it asks."""

import pytest

from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok
from tests.doubles.world import gateway_before
from tests.edge.test_treatments import PUBLIC, rules

STATIC = "cache: {ttl: 1h, scope: public, content_type: [text/css, 'image/*']}"
UNKEYED = [
    "x_original_url",
    "x_rewrite_url",
    "x_http_method_override",
    "x_method_override",
    "x_host",
    "x_forwarded_scheme",
    "x_forwarded_prefix",
]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        pytest.param("text/css; charset=utf-8", ["MISS", "HIT"], id="what-the-path-promises"),
        pytest.param("IMAGE/PNG", ["MISS", "HIT"], id="a-picture-in-capitals"),
        pytest.param("text/html", ["PASS", "PASS"], id="a-page"),
        pytest.param("text/css-not", ["PASS", "PASS"], id="another-type"),
        pytest.param(None, ["PASS", "PASS"], id="no-type"),
    ],
)
async def test_a_static_route_keeps_static_types_alone(kind: str | None, words: list[str]) -> None:
    answer = ok(b"whose?") if kind is None else ok(b"whose?", content_type=kind)
    origin = ScriptedOrigin({"*": [answer]})
    async with origin, gateway_before(origin, rules(f"match: {{path: /*}}, {STATIC}")) as world:
        replies = [await world.get("/account/me.css") for _ in range(2)]

    assert [reply.word for reply in replies] == words


async def test_a_type_that_changes_ends_what_was_stored() -> None:
    style = ok(b"a{}", content_type="text/css", etag='"1"')
    origin = ScriptedOrigin({"/a": [style, ok(b"me", content_type="text/html")]})
    async with origin, gateway_before(origin, rules(f"match: {{path: /*}}, {STATIC}")) as world:
        first = await world.get("/a")
        world.pass_time(3601)
        later = [await world.get("/a") for _ in range(2)]

    assert first.word == "MISS"
    assert [reply.word for reply in later] == ["PASS", "PASS"]


async def test_errors_of_a_static_route_live_by_their_status() -> None:
    origin = ScriptedOrigin({})
    text = rules(f"match: {{path: /*}}, {STATIC[:-1]}, status_ttl: {{404: 10s}}}}")
    async with origin, gateway_before(origin, text) as world:
        replies = [await world.get("/gone.css") for _ in range(2)]

    assert [(reply.status, reply.word) for reply in replies] == [(404, "MISS"), (404, "HIT")]


@pytest.mark.parametrize("name", UNKEYED)
async def test_no_field_outside_the_key_decides_what_everybody_gets(name: str) -> None:
    async def obedient(heard: Heard, wire: Wire) -> None:
        """Answer as a framework does that believes such fields."""
        said = heard.get(name.replace("_", "-"))
        await wire.send(ok(b"poisoned" if said else b"the page"))

    origin = ScriptedOrigin({"*": [obedient]})
    async with origin, gateway_before(origin, rules(f"match: {{path: /a}}, {PUBLIC}")) as world:
        attacker = await world.get("/a", **{name: "/admin"})
        victim = await world.get("/a")

    assert (attacker.body, victim.body, victim.word) == (b"the page", b"the page", "HIT")


async def test_a_field_that_the_rules_key_by_still_reaches_the_origin() -> None:
    async def by_host(heard: Heard, wire: Wire) -> None:
        await wire.send(ok((heard.get("x-host") or "none").encode()))

    origin = ScriptedOrigin({"*": [by_host]})
    text = rules("match: {path: /a}, cache: {ttl: 60s, scope: public, key: {headers: [X-Host]}}")
    async with origin, gateway_before(origin, text) as world:
        bodies = [(await world.get("/a", x_host=host)).body for host in ("one", "two", "one")]
        plain = await world.get("/a")

    assert bodies == [b"one", b"two", b"one"]
    assert plain.body == b"none"


async def test_what_is_never_stored_passes_such_fields_on() -> None:
    origin = ScriptedOrigin({"*": [ok(b"x")]})
    text = rules("match: {path: /api/*}, cache: off")
    async with origin, gateway_before(origin, text) as world:
        await world.get("/api/a", "POST", x_http_method_override="PATCH", content_length="0")

    assert origin.heard[0].get("x-http-method-override") == "PATCH"
