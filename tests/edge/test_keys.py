"""What tells one stored response from another, as a route's rules say."""

from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok
from tests.doubles.world import gateway_before

RULES = """
version: 1
routes:
  - name: regional
    match: {path: /r}
    cache: {ttl: 60s, scope: public, key: {headers: [X-Region], cookies: [lang]}}
  - name: tidy
    match: {path: /q}
    cache: {ttl: 60s, scope: public, key: {query: {sort: true, ignore: [utm_*]}}}
"""


async def told(heard: Heard, wire: Wire) -> None:
    """Answer with what the origin was told."""
    region, cookie = heard.get("x-region"), heard.get("cookie")
    await wire.send(ok(f"{region} {cookie} {heard.line}".encode()))


async def test_headers_and_cookies_in_the_key_tell_responses_apart() -> None:
    origin = ScriptedOrigin({"/r": [told]})
    async with origin, gateway_before(origin, RULES) as world:
        client = await world.connect()
        asked = [
            {"x_region": "eu", "cookie": "id=1; lang=de"},
            {"x_region": "eu", "cookie": "id=2; lang=fr"},
            {"x_region": "us", "cookie": "id=3; lang=de"},
            {"x_region": "eu", "cookie": "id=4; lang=de"},
        ]
        replies = [await client.get("/r", **fields) for fields in asked * 3]

        assert [reply.word for reply in replies[:4]] == ["MISS", "MISS", "MISS", "HIT"]
        assert {reply.word for reply in replies[4:]} == {"HIT"}
        for reply, fields in zip(replies, asked * 3, strict=True):
            cookie = fields["cookie"].partition("; ")[2]
            assert reply.body.startswith(f"{fields['x_region']} {cookie} ".encode())


async def test_parameters_that_do_not_matter_share_one_response() -> None:
    origin = ScriptedOrigin({"/q": [told]})
    async with origin, gateway_before(origin, RULES) as world:
        targets = ("/q?b=2&a=1&utm_source=x", "/q?a=1&b=2", "/q?utm_medium=y&b=2&a=1", "/q?a=2")
        words = [(await world.get(target)).word for target in targets]

        assert words == ["MISS", "HIT", "HIT", "MISS"]
