"""What pages will need is learned as they pass, and told early."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest

from gateway.edge.page_links import links
from gateway.storage.local import SMALLEST_QUOTA, prepare
from tests.doubles.client import Reply
from tests.doubles.h2_client import Http2Client
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, response
from tests.doubles.world import World, gateway_before
from tests.edge.test_http2 import over_h2

ROUTES = """\
routes:
  - {name: static, match: {path: [/static/*, /images/*]}, cache: {ttl: 1y, scope: public}}
  - {name: files, match: {path: /files/*}, cache: {ttl: 1h, scope: user}}
  - {name: own, match: {path: /own/*}, cache: off, hints: learn}
  - {name: chatty, match: {path: /chatty/*}, cache: off, hints: {early: all, most: 1}}
  - {name: quiet, match: {path: /quiet/*}, cache: off}
  - {name: pages, match: {path: /*}, cache: {ttl: 1m, scope: public}, hints: learn, compress: on}
"""
RULES = "version: 1\n" + ROUTES
Connect = Callable[[], "asyncio.Future[Http2Client]"]
HTML = b"""<!doctype html><html><head><title>A page</title>
<link rel="stylesheet" href="/static/a.css">
<link rel=stylesheet href=/files/mine.css>
<script type="module" src="static/app.js"></script>
<link rel="preload" as="font" href="/static/a.woff2" crossorigin>
<script src="https://elsewhere.test/x.js"></script></head>
<body><img src="/images/hero.png" fetchpriority="high" alt=""></body></html>"""
LINK = (
    "</static/a.css>; rel=preload; as=style, </static/app.js>; rel=modulepreload, "
    "</static/a.woff2>; rel=preload; as=font; crossorigin, "
    "</images/hero.png>; rel=preload; as=image; fetchpriority=high"
)
NAVIGATION = "text/html,application/xhtml+xml,*/*;q=0.8"


def page(body: bytes = HTML, **fields: str) -> bytes:
    return response(body=body, **{"content_type": "text/html; charset=utf-8", **fields})


async def learned(world: World, target: str, **fields: str) -> Reply:
    """Return the answer once it says what was learned."""
    end = time.monotonic() + 10
    while True:
        reply = await world.get(target, **fields)
        if reply.get("link"):
            return reply
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("target", ["/", "/own/page"])
async def test_a_page_tells_what_its_earlier_answer_needed(target: str) -> None:
    html = HTML.replace(b'"static/app.js"', b'"/static/app.js"')
    origin = ScriptedOrigin({"*": [page(html)]})
    async with origin, gateway_before(origin, RULES) as world:
        first = await world.get(target)
        later = await learned(world, target)

    assert first.get("link") is None
    assert later.get("link") == LINK
    # By HTTP/1.1 nobody is told early, unless the rules say so.
    assert later.interim == []


async def test_a_browser_by_http2_is_told_while_the_origin_makes_the_page(tmp_path: Path) -> None:
    told = asyncio.Event()

    async def slow(heard: Heard, wire: Wire) -> None:
        if heard.get("x-wait"):
            await told.wait()
        await wire.send(page(HTML.replace(b'"static/', b'"/static/')))

    async with (
        ScriptedOrigin({"*": [slow]}) as origin,
        over_h2(tmp_path, origin, ROUTES) as (_, connect),
    ):
        client = await connect()
        end = time.monotonic() + 10
        answer = await client.get("/own/page")
        while "link" not in answer.headers and time.monotonic() < end:
            answer = await client.get("/own/page")
        asset = await client.get("/own/page", accept="*/*")
        request = asyncio.ensure_future(
            client.get("/own/page", accept=NAVIGATION, **{"x-wait": "1"})
        )
        await origin.until_heard(len(origin.heard) + 1)
        told.set()
        answer = await request

    assert answer.interim == [{":status": "103", "link": LINK}]
    assert asset.interim == []
    assert answer.headers["link"] == LINK


async def test_all_are_told_early_where_the_rules_say_so_and_of_no_more_than_they_say() -> None:
    origin = ScriptedOrigin({"*": [page()]})
    async with origin, gateway_before(origin, RULES) as world:
        await learned(world, "/chatty/page")
        reply = await world.get("/chatty/page", accept=NAVIGATION)
        old = await world.get("/chatty/page", "HEAD", accept=NAVIGATION)

    first = "</static/a.css>; rel=preload; as=style"
    assert [(each.status, each.get("link")) for each in reply.interim] == [(103, first)]
    assert reply.get("link") == first
    assert old.interim == []


async def test_a_stored_page_is_there_at_once_and_needs_no_103(tmp_path: Path) -> None:
    async with (
        ScriptedOrigin({"*": [page()]}) as origin,
        over_h2(tmp_path, origin, ROUTES) as (_, connect),
    ):
        client = await connect()
        await client.get("/")
        hit = await client.get("/", accept=NAVIGATION)

    assert hit.headers["x-cache"] == "HIT"
    assert hit.interim == []


async def test_a_page_that_comes_encoded_is_read_too() -> None:
    packed = page(brotli.compress(HTML), content_encoding="br")
    origin = ScriptedOrigin({"*": [packed]})
    async with origin, gateway_before(origin, RULES) as world:
        kept = await learned(world, "/page", accept_encoding="br")
        passed = await learned(world, "/own/page", accept_encoding="br")

    assert "</static/a.css>" in (kept.get("link") or "")
    assert "</static/a.css>" in (passed.get("link") or "")


@pytest.mark.parametrize(
    "answer",
    [
        response("404 Not Found", HTML, content_type="text/html"),
        response(body=HTML, content_type="text/plain"),
        page(b"<html>\xff\xfe<link rel=stylesheet href=\x00>"),
        page(HTML[:40], content_encoding="br"),
    ],
)
async def test_other_answers_teach_nothing(answer: bytes) -> None:
    origin = ScriptedOrigin({"*": [answer]})
    async with origin, gateway_before(origin, RULES) as world:
        for target in ("/own/page", "/own/page", "/quiet/page", "/quiet/page"):
            assert (await world.get(target)).get("link") is None
            await asyncio.sleep(0.02)


async def test_what_belongs_to_one_user_is_not_told() -> None:
    origin = ScriptedOrigin({"*": [page()]})
    async with origin, gateway_before(origin, RULES) as world:
        reply = await learned(world, "/own/page")

    assert "/files/mine.css" not in (reply.get("link") or "")
    assert "elsewhere" not in (reply.get("link") or "")


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<link rel="stylesheet" href="a.css">', ["</d/a.css>; rel=preload; as=style"]),
        ('<LINK REL="StyleSheet" HREF="/a.css?v=1&amp;x">',
         ["</a.css?v=1&x>; rel=preload; as=style"]),
        ('<link rel="alternate stylesheet" href="/a.css">', []),
        ('<link rel=stylesheet media=print href="/a.css">', []),
        ('<link rel=stylesheet href="/a.css" integrity="sha256-x">', []),
        ('<script src="/a.js"></script>', ["</a.js>; rel=preload; as=script"]),
        ('<script src="/a.js" nomodule></script>', []),
        ('<script type="application/json" src="/a.json"></script>', []),
        ('<script type=module src="/a.js" crossorigin></script>',
         ["</a.js>; rel=modulepreload; crossorigin"]),
        ('<link rel=modulepreload href="/a.js">', ["</a.js>; rel=modulepreload"]),
        ('<link rel=preload as=fetch href="/a" crossorigin="use-credentials">',
         ["</a>; rel=preload; as=fetch; crossorigin=use-credentials"]),
        ('<link rel=preload href="/a">', []),
        ('<img src="/a.png">', []),
        ('<img src="/a.png" fetchpriority=high loading=lazy>', []),
        ('<img src="/a.png" srcset="/b.png 2x" fetchpriority=high>', []),
        ('<!-- <script src="/a.js"></script> -->', []),
        ('<script>var a = "<script src=/a.js>"</script>', []),
        ('<script src="//other.test/a.js"></script>', []),
        ('<script src="javascript:1"></script>', []),
        ('<script src="/a>b.js"></script>', []),
        ('<script src="/\u00e4.js"></script>', []),
        ('<script src="/a.js\r\nX: y"></script>', []),
        ('<base href="/deep/"><script src="a.js"></script>',
         ["</deep/a.js>; rel=preload; as=script"]),
        ('<base href="https://cdn.test/"><script src="a.js"></script>', []),
        ('<script src="/a.js"></script><script src="/a.js"></script>',
         ["</a.js>; rel=preload; as=script"]),
        ('<script src="http://[bad"></script>', []),
    ],
)  # fmt: skip
def test_a_page_says_what_it_needs(html: str, expected: list[str]) -> None:
    found = [each.encode().decode() for each in links(html.encode(), "/d/page")]

    assert found == expected


async def test_hits_that_come_while_a_page_is_looked_at_do_not_settle_what_later_ones_say() -> None:
    origin = ScriptedOrigin({"*": [page()]})
    async with origin, gateway_before(origin, RULES) as world:
        hints = world.gateway.site.hints
        waiting: list[tuple[Callable[[], object], Callable[..., None]]] = []
        hints._run = lambda work, done: waiting.append((work, done))
        early = [await world.get("/page") for _ in range(3)]
        ((work, done),) = waiting
        done(work())
        later = await world.get("/page", accept="*/*")

    assert [(reply.word, reply.get("link")) for reply in early] == [
        ("MISS", None),
        ("HIT", None),
        ("HIT", None),
    ]
    assert (later.word, later.get("link")) == ("HIT", LINK)


@pytest.mark.parametrize("multiplexed", [False, True])
async def test_a_page_that_comes_from_a_lower_tier_is_looked_at_too(
    tmp_path: Path, multiplexed: bool
) -> None:
    assert prepare(tmp_path / "local", SMALLEST_QUOTA) is None
    tiers = f"tiers: {{memory: {{size: 4MB}}, local: {{size: {SMALLEST_QUOTA}B}}}}\n"
    origin = ScriptedOrigin({"*": [page(HTML + b"<p>" + bytes(4096))]})

    async def told(world: World, connect: Connect) -> tuple[str | None, str | None]:
        if multiplexed:
            client = await connect()
            answer = await client.get("/page", accept=NAVIGATION)
            return answer.headers["x-cache"], answer.headers.get("link")
        reply = await world.get("/page", host="hub.test")
        return reply.word, reply.get("link")

    async with origin:
        async with over_h2(tmp_path, origin, tiers + ROUTES) as (world, connect):
            world.gateway.site.open_tiers(tmp_path, None)
            assert await told(world, connect) == ("MISS", None)
        async with over_h2(tmp_path, origin, tiers + ROUTES) as (world, connect):
            world.gateway.site.open_tiers(tmp_path, None)
            word, link = await told(world, connect)
            end = time.monotonic() + 10
            while link is None:
                assert (word, time.monotonic() < end) == ("HIT", True)
                word, link = await told(world, connect)

    assert link == LINK
    assert len(origin.heard) == 1
