"""Limits of routes: who may ask how often, whatever the answer is made of."""

from collections.abc import Callable

import pytest

from tests.doubles.client import Reply
from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.world import World, gateway_before
from tests.edge.test_identity import keys, token
from tests.edge.test_treatments import PUBLIC, rules

LIMIT = "limit: {requests: 3, per: 1h}"


async def statuses(world: World, target: str, times: int, **fields: str) -> list[int]:
    client = await world.connect()
    return [(await client.get(target, **fields)).status for _ in range(times)]


@pytest.mark.parametrize(
    "treatment",
    [
        pytest.param(PUBLIC, id="hits"),
        pytest.param("cache: off", id="passed-by-the-cache"),
        pytest.param('respond: {body: "hello"}', id="answered-here"),
        pytest.param('redirect: "/b"', id="redirected"),
    ],
)
async def test_the_request_beyond_a_limit_is_refused_whatever_the_route_does(
    treatment: str,
) -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    async with (
        origin,
        gateway_before(origin, rules(f"match: {{path: /a}}, {treatment}, {LIMIT}")) as world,
    ):
        client = await world.connect()
        replies = [await client.get("/a") for _ in range(5)]

    assert [reply.status == 429 for reply in replies] == [False, False, False, True, True]
    assert [reply.get("ratelimit") for reply in replies] == [
        '"/a";r=2;t=1200', '"/a";r=1;t=2400', '"/a";r=0;t=3600', '"/a";r=0;t=3600',
        '"/a";r=0;t=3600',
    ]  # fmt: skip
    assert {reply.get("ratelimit-policy") for reply in replies} == {'"/a";q=3;w=3600'}
    refused = replies[3]
    assert (refused.get("retry-after"), refused.get("cache-control")) == ("1200", "no-store")
    assert refused.get("cache-status") == "gateway; detail=limited"
    assert b"at most 3 in 3600 seconds from your address" in refused.body
    assert world.counters.limited == {"/a": 2}


async def test_hits_of_a_known_head_are_counted_and_each_is_told_what_is_left() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    text = rules(f"match: {{path: /a}}, {PUBLIC}, limit: {{requests: 50, per: 1h}}")
    async with origin, gateway_before(origin, text) as world:
        client = await world.connect()
        replies = [await client.get("/a") for _ in range(51)]
        world.gateway.site.heads.fold()
        counted = dict(world.counters.requests)

    assert [reply.word for reply in replies] == ["MISS", *["HIT"] * 49, "BYPASS"]
    left = [(reply.get("ratelimit") or "").split(";")[1] for reply in replies[:50]]
    assert left == [f"r={number}" for number in range(49, -1, -1)]
    assert counted == {("/a", "MISS", 2): 1, ("/a", "HIT", 2): 49, ("/a", "BYPASS", 4): 1}
    assert {reply.body for reply in replies[:50]} == {b"a"}


async def test_what_is_stored_tells_nobody_about_anothers_quota() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    text = rules(
        f"match: {{path: /a}}, {PUBLIC}, limit: {{requests: 9, per: 1h, by: {{header: X-Api-Key}}}}"
    )
    async with origin, gateway_before(origin, text) as world:
        first = [await world.get("/a", x_api_key="one") for _ in range(4)]
        second = await world.get("/a", x_api_key="two")

    assert [reply.get("ratelimit") for reply in first][-1] == '"/a";r=5;t=1600'
    assert second.get("ratelimit") == '"/a";r=8;t=400'
    assert second.word == "HIT"


async def test_a_header_counts_by_its_value_and_without_it_the_address_counts() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    text = rules(
        "match: {path: /a}, cache: off, limit: {requests: 2, per: 1h, by: {header: X-Api-Key}}"
    )
    async with origin, gateway_before(origin, text) as world:
        assert await statuses(world, "/a", 3, x_api_key="one") == [200, 200, 429]
        assert await statuses(world, "/a", 3, x_api_key="two") == [200, 200, 429]
        assert await statuses(world, "/a", 3) == [200, 200, 429]


IDENTITY = """
version: 1
identity:
  user: {cookie: session_token}
  org: {jwt_claim: org_id, cookie: org_token, keys: keys.json}
routes:
  - {match: {path: /user}, cache: {ttl: 60s, scope: public},
     limit: {requests: 2, per: 1h, by: user}}
  - {match: {path: /org}, cache: {ttl: 60s, scope: org}, limit: {requests: 2, per: 1h, by: org}}
"""


@pytest.mark.parametrize(
    ("target", "cookie"),
    [
        pytest.param("/user", lambda name: f"session_token={name}", id="user"),
        pytest.param("/org", lambda name: f"org_token={token(name)}", id="org"),
    ],
)
async def test_those_who_prove_who_they_are_count_apart_and_strangers_by_address(
    target: str, cookie: Callable[[str], str]
) -> None:
    origin = ScriptedOrigin({target: [ok(b"a")]})
    async with origin, gateway_before(origin, IDENTITY, files=keys) as world:
        for name in ("ada", "ben"):
            assert await statuses(world, target, 3, cookie=cookie(name)) == [200, 200, 429]
        assert await statuses(world, target, 3) == [200, 200, 429]
        assert await statuses(world, target, 1, cookie=f"org_token={token('x')[:-9]}") == [429]


async def test_of_several_limits_each_holds_and_a_refusal_costs_the_others_nothing() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")], "/b": [ok(b"b")]})
    text = rules(
        "match: {path: /a}, cache: off, limit: [{requests: 5, per: 1h, by: everybody}, "
        "{requests: 2, per: 1h, by: {header: X-Api-Key}}]",
    )
    async with origin, gateway_before(origin, text) as world:
        assert await statuses(world, "/a", 4, x_api_key="one") == [200, 200, 429, 429]
        assert await statuses(world, "/a", 4, x_api_key="two") == [200, 200, 429, 429]
        assert await statuses(world, "/a", 2, x_api_key="three") == [200, 429]
        reply = await world.get("/a", x_api_key="four")

    assert (reply.status, reply.get("ratelimit")) == (429, '"/a";r=0;t=3600')
    assert b"from all together" in reply.body


async def test_limits_of_the_defaults_count_all_routes_together_but_those_with_their_own() -> None:
    origin = ScriptedOrigin({path: [ok(b"a")] for path in ("/a", "/b", "/own", "/free")})
    text = rules(
        "match: {path: /a}, cache: off",
        f"match: {{path: /b}}, {PUBLIC}",
        "match: {path: /own}, cache: off, limit: {requests: 1, per: 1h}",
        "match: {path: /free}, cache: off, limit: off",
        defaults=LIMIT,
    )
    async with origin, gateway_before(origin, text) as world:
        assert await statuses(world, "/a", 2) == [200, 200]
        assert await statuses(world, "/b", 2) == [200, 429]
        assert await statuses(world, "/own", 2) == [200, 429]
        assert await statuses(world, "/free", 5) == [200] * 5


async def test_what_access_forbids_isnt_counted() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    text = rules(f"match: {{path: /a}}, cache: off, access: {{deny: 127.0.0.0/8}}, {LIMIT}")
    async with origin, gateway_before(origin, text) as world:
        reply: Reply = await world.get("/a")
        assert await statuses(world, "/a", 5) == [403] * 5

    assert reply.get("ratelimit") is None


async def test_a_connection_outlives_a_refusal() -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")], "/b": [ok(b"b")]})
    text = rules("match: {path: /a}, cache: off, limit: {requests: 1, per: 1h}")
    async with origin, gateway_before(origin, text) as world:
        client = await world.connect()
        replies = [await client.get(target) for target in ("/a", "/a", "/b")]

    assert [reply.status for reply in replies] == [200, 429, 200]


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        pytest.param(b"192.0.2.1", b"192.0.2.2", False, id="two-addresses"),
        pytest.param(b"2001:db8::1", b"2001:db8::2", True, id="one-network-of-ipv6"),
        pytest.param(b"2001:db8::1", b"2001:db8:0:1::1", False, id="two-networks-of-ipv6"),
        pytest.param(b"192.0.2.1", b"::ffff:192.0.2.1", True, id="ipv4-in-ipv6"),
    ],
)
async def test_a_customer_of_ipv6_is_one_network(
    first: bytes, second: bytes, *, together: bool
) -> None:
    text = rules("match: {path: /a}, cache: off, limit: {requests: 1, per: 1h}")
    async with gateway_before("http://127.0.0.1:1", text) as world:
        site = world.gateway.site
        route = next(route for route in site.snapshot.routes.routes if route.name == "/a")
        limiter = site.limiter
        limited = limiter.limited(route, None, None)  # type: ignore[arg-type] # not looked at
        assert isinstance(limiter.spend(limited, first, 1.0), bytes)
        assert isinstance(limiter.spend(limited, second, 1.0), bytes) is not together
