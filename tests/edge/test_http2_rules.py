"""What rules say holds for HTTP/2 as for HTTP/1.1: limits by rate, explanations, counts."""

import json
from pathlib import Path

from gateway.edge.live_explain import LiveExplainer, signature
from tests.doubles.origin import ScriptedOrigin, ok
from tests.edge.test_http2 import over_h2

LIMITED = """\
routes:
  - {name: pages, match: {path: /*}, limit: {requests: 2, per: 1h},
     cache: {ttl: 60s, scope: public}}
"""
SECRET = b"the-token-of-the-operators"


async def test_a_limit_counts_requests_of_either_version(tmp_path: Path) -> None:
    async with (
        ScriptedOrigin({"/a": [ok(b"a")]}) as origin,
        over_h2(tmp_path, origin, LIMITED) as (world, connect),
    ):
        client = await connect()
        replies = [await client.get("/a") for _ in range(3)]
        plain = await world.get("/a")

    assert [reply.status for reply in replies] == [200, 200, 429]
    assert [reply.headers["ratelimit"] for reply in replies[:2]] == [
        '"pages";r=1;t=1800',
        '"pages";r=0;t=3600',
    ]
    assert plain.status == 429
    assert {key.url for key in world.gateway.looked(5).keys} == {"hub.test/a"}


async def test_an_answer_explains_itself_and_no_origin_sees_who_asked(tmp_path: Path) -> None:
    async with (
        ScriptedOrigin({"/a": [ok(b"a")]}) as origin,
        over_h2(tmp_path, origin, LIMITED.replace(" limit: {requests: 2, per: 1h},", "")) as (
            world,
            connect,
        ),
    ):
        world.gateway.site.explainer = LiveExplainer(SECRET, world.clock)
        asked = signature(SECRET, int(world.clock.now), "GET", "hub.test", "/a")
        client = await connect()
        first = await client.get("/a", gateway_explain=asked)
        second = await client.get("/a", gateway_explain=asked)
        unsigned = await client.get("/a", gateway_explain="please")

    assert json.loads(first.headers["gateway-explanation"])["why"] == "uri-miss"
    assert json.loads(second.headers["gateway-explanation"])["found"] == "fresh"
    assert "gateway-explanation" not in unsigned.headers
    assert all(heard.get("gateway-explain") is None for heard in origin.heard)
