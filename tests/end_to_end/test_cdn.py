"""What is purged at the gateway is purged at the CDN, where a route says that it keeps it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doubles.cloudflare import TOKEN, ZONE, FakeCloudflare, fake_cloudflare
from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.serving import PATIENCE, Serving
from tests.end_to_end.real import connect, gateway_process
from tests.end_to_end.test_purge import purge

RULES = """\
version: 1
tiers:
  cdn: {provider: cloudflare, zone: "${CLOUDFLARE_ZONE_ID}", token: "${CLOUDFLARE_API_TOKEN}",
        hosts: [hub.test, www.hub.test]}
routes:
  - {name: blog, match: {path: /blog/*}, cdn: true, cache: {ttl: 1h, scope: public}}
  - {name: lists, match: {path: /api/*}, cache: {ttl: 1h, scope: public}}
"""


@pytest.fixture
async def fake() -> AsyncIterator[FakeCloudflare]:
    async with fake_cloudflare() as found:
        yield found


def environ(fake: FakeCloudflare) -> dict[str, str]:
    return {
        "CLOUDFLARE_API": fake.api,
        "CLOUDFLARE_ZONE_ID": ZONE,
        "CLOUDFLARE_API_TOKEN": TOKEN,
    }


async def told(fake: FakeCloudflare, count: int) -> list[dict[str, object]]:
    """Return what the CDN was told, once it is *count* calls."""
    async with asyncio.timeout(PATIENCE):
        while len(fake.calls) < count:  # noqa: ASYNC110 - another process tells
            await asyncio.sleep(0.02)
    calls, fake.calls = list(fake.calls), []
    return calls


async def purged(gateway: Serving, *flags: str) -> None:
    status, _, err = await purge(gateway, *flags, "--wait")
    assert (status, err) == (0, "")


async def test_purges_go_on_by_route_and_kind(tmp_path: Path, fake: FakeCloudflare) -> None:
    origin = ScriptedOrigin({"*": [ok(b"x")]})
    async with (
        origin,
        gateway_process(
            tmp_path, origin, workers=2, rules_text=RULES, environ=environ(fake)
        ) as gateway,
    ):
        await purged(gateway, "--url", "/api/lists")
        await purged(gateway, "--url", "/blog/a?b=1")
        (urls,) = await told(fake, 1)
        await purged(gateway, "--group", "posts")
        (tags,) = await told(fake, 1)
        await purged(gateway, "--prefix", "/blog", "--host", "hub.test")
        (prefixes,) = await told(fake, 1)
        await purged(gateway, "--host", "www.hub.test")
        (hosts,) = await told(fake, 1)
        await purged(gateway, "--all", "--confirm", "all")
        (everything,) = await told(fake, 1)
        await gateway.count_is("gateway_cdn_failures_total", 0.0)
        fake.troubles = []

    assert urls == {
        "files": [
            "https://hub.test/blog/a?b=1",
            "http://hub.test/blog/a?b=1",
            "https://www.hub.test/blog/a?b=1",
            "http://www.hub.test/blog/a?b=1",
        ]
    }
    assert tags == {"tags": ["posts"]}
    assert prefixes == {"prefixes": ["hub.test/blog"]}
    assert hosts == {"hosts": ["www.hub.test"]}
    assert everything == {"purge_everything": True}


async def test_a_write_that_clears_a_group_clears_it_at_the_cdn(
    tmp_path: Path, fake: FakeCloudflare
) -> None:
    origin = ScriptedOrigin({"*": [ok(b"x", cache_group_invalidation='"posts"')]})
    async with (
        origin,
        gateway_process(tmp_path, origin, rules_text=RULES, environ=environ(fake)) as gateway,
    ):
        client = await connect(gateway)
        await client.get("/blog/a", "POST", content_length="0")
        client.close()
        calls = await told(fake, 2)

    assert {"tags": ["posts"]} in calls
    (urls,) = [call["files"] for call in calls if "files" in call]
    assert isinstance(urls, list)
    assert "https://hub.test/blog/a" in urls


async def test_a_cdn_that_refuses_holds_nothing_up_and_is_told_of(
    tmp_path: Path, fake: FakeCloudflare
) -> None:
    origin = ScriptedOrigin({"*": [ok(b"x")]})
    wrong = environ(fake) | {"CLOUDFLARE_API_TOKEN": "a-token-of-nobody"}
    async with (
        origin,
        gateway_process(tmp_path, origin, rules_text=RULES, environ=wrong) as gateway,
    ):
        await purged(gateway, "--group", "posts")
        await gateway.count_is("gateway_cdn_failures_total", 1.0)
        gateway.process.terminate()
        await gateway.ended()
        said = await gateway.errors()

    assert "the CDN still has what was purged (1 tags)" in said
    assert "a-token-of-nobody" not in said
