"""What a worker notices: the busiest URLs, what isn't cached and why, what went wrong."""

import pytest

from gateway.edge.insight import Insight, Looked, merged
from gateway.policy.age import Arrival
from gateway.policy.directives import parse_response
from gateway.policy.stored import Filed, StoredResponse
from gateway.wire.fields import Fields
from tests.doubles.origin import ScriptedOrigin, ok, response
from tests.doubles.world import gateway_before
from tests.edge.test_treatments import PUBLIC, rules

RULES = rules(
    f"name: pages, match: {{path: /pages/*}}, {PUBLIC}",
    "name: mine, match: {path: /mine}, cache: {ttl: 60s, scope: org}",
    "name: off, match: {path: /off}, cache: off",
)


def stored(target: bytes) -> StoredResponse:
    arrival = Arrival(0.0, 0.0, 0.0, 0.0)
    fields = Fields.of()
    directives = parse_response(fields)
    filed = Filed(b"hub.test", target, "pages")
    return StoredResponse(200, b"OK", fields, b"", arrival, 60.0, directives, filed=filed)


async def test_each_way_of_an_answer_is_counted_once() -> None:
    origin = ScriptedOrigin({f"/pages/{name}": [ok(b"12345")] for name in "ab"})
    async with origin, gateway_before(origin, RULES) as world:
        client = await world.connect()
        for _ in range(10):
            await client.get("/pages/a")
        await client.get("/pages/b", "HEAD")
        looked = world.gateway.looked(10)

    by_url = {key.url: key for key in looked.keys}
    assert (by_url["hub.test/pages/a"].hits, by_url["hub.test/pages/a"].misses) == (9, 1)
    assert by_url["hub.test/pages/a"].body_bytes == 45
    assert by_url["hub.test/pages/b"].misses == 1
    assert looked.uncached == []


@pytest.mark.parametrize(
    ("target", "answer", "method", "reason"),
    [
        pytest.param("/off", ok(b"x"), "GET", "cache-off", id="off"),
        pytest.param("/pages/a", ok(b"x"), "POST", "method", id="method"),
        pytest.param("/mine", ok(b"x"), "GET", "no-identity", id="nobody"),
        pytest.param("/pages/a", ok(b"x", cache_control="private"), "GET", "private", id="private"),
        pytest.param(
            "/pages/a", ok(b"x", cache_control="no-store"), "GET", "no-store", id="secret"
        ),
        pytest.param("/pages/a", ok(b"x", set_cookie="a=b"), "GET", "set-cookie", id="cookie"),
        pytest.param("/pages/a", ok(b"x", vary="*"), "GET", "vary", id="vary"),
        pytest.param("/pages/a", response("500 Oh", b"x"), "GET", "error", id="error"),
    ],
)
async def test_what_isnt_cached_has_its_reason_however_often_it_comes(
    target: str, answer: bytes, method: str, reason: str
) -> None:
    origin = ScriptedOrigin({target: [answer]})
    async with origin, gateway_before(origin, RULES) as world:
        client = await world.connect()
        for _ in range(5):
            await client.get(target, method)
        looked = world.gateway.looked(10)

    (found,) = looked.uncached
    assert (found.url, found.reason, found.requests) == (f"hub.test{target}", reason, 5)


async def test_what_went_wrong_is_remembered_with_what_happened() -> None:
    async with gateway_before("http://127.0.0.1:1", RULES) as world:
        await world.get("/off")
        (failure,) = world.gateway.looked(10).failures

    assert (failure.url, failure.status, failure.error) == (
        "hub.test/off",
        502,
        "origin-unreachable",
    )


def test_a_flood_of_urls_is_bounded_and_leaves_the_busy_ones() -> None:
    insight = Insight()
    insight.hits(stored(b"/busy"), 1000, 1)
    for number in range(50_000):
        insight.hits(stored(b"/%d" % number), 1, 1)

    looked = insight.looked(3)
    assert len(insight._keys) <= 8192
    assert looked.keys[0].url == "hub.test/busy"


def test_workers_add_up() -> None:
    one, other = Insight(), Insight()
    one.hits(stored(b"/a"), 2, 10)
    other.hits(stored(b"/a"), 3, 10)

    (key,) = merged([one.looked(5), other.looked(5), Looked()]).keys
    assert (key.hits, key.body_bytes) == (5, 50)
