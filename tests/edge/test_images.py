"""Pictures leave in the format and width that a client takes; each is made once."""

import asyncio
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psutil
import pytest

from gateway.edge.render import MOST_SECONDS
from gateway.storage.purges import Kind, Mode, Purge
from tests.doubles.client import Reply
from tests.doubles.origin import ScriptedOrigin, response
from tests.doubles.pictures import chart, decoded, encoded, jpeg, photo, png
from tests.doubles.world import World, gateway_before

RULES = """\
version: 1
routes:
  - name: pictures
    match: {path: /images/*}
    cache: {ttl: 1y, browser_ttl: 1y, immutable: true, scope: public}
    images: {formats: [avif, webp], effort: 1, widths: [320, 160], hints: true}
  - name: strict
    match: {path: /strict/*}
    cache: {ttl: 1h, scope: public}
    images: {effort: 1, widths: [320, 160], other_widths: refuse, width_parameter: wide}
  - {name: plain, match: {path: /plain/*}, cache: {ttl: 1h, scope: public}}
  - {name: live, match: {path: /live/*}, images: on, cache: off}
"""
CHROME = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
OLDER = "image/webp,image/png,image/svg+xml,*/*;q=0.8"
OLDEST = "image/png,image/*;q=0.8,*/*;q=0.5"
SOURCE = jpeg()
PATIENCE = 30.0


def a_picture(body: bytes = SOURCE, kind: str = "image/jpeg", **fields: str) -> bytes:
    return response(body=body, **{"content_type": kind, "etag": '"v1"', **fields})


@asynccontextmanager
async def pictures(
    *answers: bytes, path: str = "/images/a", rules: str = RULES
) -> AsyncIterator[tuple[ScriptedOrigin, World]]:
    origin = ScriptedOrigin({path: list(answers or (a_picture(),))})
    async with origin, gateway_before(origin, rules) as world:
        yield origin, world


async def settled(
    world: World, target: str, until: Callable[[Reply], bool] | None = None, **fields: str
) -> Reply:
    """Return what *target* is once its rendition has been made."""
    enough = until or (lambda reply: "immutable" in (reply.get("cache-control") or ""))
    end = time.monotonic() + PATIENCE
    while True:
        reply = await world.get(target, **fields)
        if enough(reply):
            return reply
        assert time.monotonic() < end, (reply.status, reply.fields)
        await asyncio.sleep(0.02)


async def test_each_client_gets_the_best_format_that_it_takes_of_one_source() -> None:
    async with pictures() as (origin, world):
        avif = await settled(world, "/images/a", accept=CHROME)
        webp = await settled(world, "/images/a", accept=OLDER)
        source = await settled(world, "/images/a", accept=OLDEST)
        plain = await settled(world, "/images/a")

    assert [each.get("content-type") for each in (avif, webp, source, plain)] == [
        "image/avif", "image/webp", "image/jpeg", "image/jpeg",
    ]  # fmt: skip
    assert [decoded(each.body).format for each in (avif, webp, source)] == ["AVIF", "WEBP", "JPEG"]
    assert source.body == plain.body == SOURCE
    assert len(avif.body) < len(webp.body) < len(SOURCE)
    for each in (avif, webp, source):
        assert each.get("vary") == "Accept, Save-Data, Sec-CH-Width, Sec-CH-DPR"
        assert each.get("cache-control") == "public, max-age=31536000, immutable"
        assert each.get("content-length") == str(len(each.body))
        assert each.word == "HIT"
    assert len({each.get("etag") for each in (avif, webp, source)}) == 3
    saved = round(100 - 100 * len(avif.body) / len(SOURCE))
    assert avif.get("x-compression-ratio") == f"{saved}%"
    assert len(origin.heard) == 1


async def test_the_source_is_served_meanwhile_and_not_kept_long_by_anybody() -> None:
    async with pictures() as (_, world):
        first = await world.get("/images/a", accept=CHROME)
        avif = await settled(world, "/images/a", accept=CHROME)

    assert (first.word, first.body) == ("MISS", SOURCE)
    assert first.get("content-type") == "image/jpeg"
    assert first.get("vary") == "Accept, Save-Data, Sec-CH-Width, Sec-CH-DPR"
    assert first.get("cache-control") == "public, max-age=60"
    assert avif.get("cache-control") == "public, max-age=31536000, immutable"


async def test_a_rendition_is_made_once_however_many_want_it() -> None:
    async with pictures() as (_, world):
        await asyncio.gather(*(world.get("/images/a", accept=CHROME) for _ in range(20)))
        for accept in (CHROME, "image/avif", "image/webp;q=0.5, image/avif", "IMAGE/AVIF;q=1"):
            reply = await settled(world, "/images/a", accept=accept)
            assert reply.get("content-type") == "image/avif"
        for accept in (OLDER, "image/webp", "image/avif;q=0.2, image/webp", "image/webp;q=0.1"):
            reply = await settled(world, "/images/a", accept=accept)
            assert reply.get("content-type") == "image/webp"
        reading = world.gateway.reading()

    assert reading.rendered == {"pictures": {"made": 2}}
    assert [(each.coding, each.bodies) for each in reading.encodings] == [("avif", 1), ("webp", 1)]


@pytest.mark.parametrize(
    ("asked", "width"),
    [("w=320", 320), ("w=160", 160), ("w=1", 160), ("w=200", 320), ("w=9999", 320)],
)
async def test_a_width_is_one_of_those_allowed(asked: str, width: int) -> None:
    async with pictures() as (origin, world):
        reply = await settled(world, f"/images/a?{asked}", accept=CHROME)

    assert decoded(reply.body).size == (width, width * 400 // 640)
    assert [heard.line.split()[1] for heard in origin.heard] == ["/images/a"]


async def test_one_source_serves_every_width_and_keeps_the_rest_of_its_query() -> None:
    async with pictures() as (origin, world):
        for query in ("v=7&x=1", "w=160&v=7&x=1", "v=7&w=320&x=1"):
            reply = await settled(world, f"/images/a?{query}")
            assert reply.get("content-type") == "image/jpeg"

    assert [heard.line.split()[1] for heard in origin.heard] == ["/images/a?v=7&x=1"]


@pytest.mark.parametrize("query", ["w=", "w=abc", "w=-3", "w=0", "w=1e3", "w=99999999999"])
async def test_what_is_no_width_is_refused_with_words(query: str) -> None:
    async with pictures() as (origin, world):
        reply = await world.get(f"/images/a?{query}", accept=CHROME)

    assert reply.status == 400
    assert b"w is a width in pixels such as 160" in reply.body
    assert reply.get("cache-control") == "no-store"
    assert origin.heard == []


async def test_other_widths_are_refused_where_the_rules_say_so() -> None:
    async with pictures(path="/strict/a") as (origin, world):
        refused = await world.get("/strict/a?wide=200")
        narrow = await settled(
            world, "/strict/a?wide=160", lambda reply: reply.body != SOURCE, accept=OLDER
        )

    assert refused.status == 400
    assert b"wide=200 is none of the widths there are: 160, 320" in refused.body
    assert decoded(narrow.body).size == (160, 100)
    assert len(origin.heard) == 1


async def test_hints_choose_a_width_and_save_data() -> None:
    async with pictures() as (origin, world):
        hinted = await settled(world, "/images/a", accept=CHROME, sec_ch_width="150")
        both = await settled(world, "/images/a?w=320", accept=CHROME, sec_ch_width="150")
        saved = await settled(world, "/images/a", accept=CHROME, save_data="on")
        full = await settled(world, "/images/a", accept=CHROME, save_data="off")
        dense = await settled(
            world, "/images/a", accept=CHROME, save_data="on", sec_ch_width="320", sec_ch_dpr="2.0"
        )
        broken = await settled(world, "/images/a", accept=CHROME, sec_ch_width="wide")

    assert decoded(hinted.body).width == 160
    assert decoded(both.body).width == 320
    assert decoded(saved.body).width == decoded(full.body).width == 640
    assert len(saved.body) < len(full.body)
    assert saved.get("etag") != full.get("etag")
    assert decoded(dense.body).width == 160
    assert broken.body == full.body
    assert len(origin.heard) == 1


async def test_conditional_requests_and_parts_are_about_the_rendition() -> None:
    async with pictures() as (_, world):
        avif = await settled(world, "/images/a", accept=CHROME)
        tag = avif.get("etag") or ""
        unmodified = await world.get("/images/a", accept=CHROME, if_none_match=tag)
        other = await world.get("/images/a", accept=CHROME, if_none_match='"v1"')
        part = await world.get("/images/a", accept=CHROME, range="bytes=10-19")
        crossed = await world.get("/images/a", accept=OLDEST, range="bytes=10-19", if_range=tag)
        head = await world.get("/images/a", "HEAD", accept=CHROME)

    assert tag.startswith('"v1-avif.')
    assert (unmodified.status, unmodified.body) == (304, b"")
    assert unmodified.get("etag") == tag
    assert "Accept" in (unmodified.get("vary") or "")
    assert (other.status, other.body) == (200, avif.body)
    assert (part.status, part.body) == (206, avif.body[10:20])
    assert (crossed.status, crossed.body) == (200, SOURCE)
    assert (head.get("content-type"), head.get("content-length")) == (
        "image/avif", str(len(avif.body)),
    )  # fmt: skip


@pytest.mark.parametrize("named", ["/images/a", "/images/a?w=160"])
async def test_renditions_go_with_their_source_when_it_is_purged(named: str) -> None:
    newer = jpeg(photo(seed=9))
    async with pictures(a_picture(), a_picture(newer, etag='"v2"')) as (origin, world):
        before = await settled(world, "/images/a?w=160", accept=CHROME)
        world.pass_time(1)
        world.gateway.purge([Purge(Kind.URL, named.encode(), mode=Mode.HARD)])
        world.pass_time(1)
        first = await world.get("/images/a?w=160", accept=CHROME)
        after = await settled(world, "/images/a?w=160", accept=CHROME)

    assert first.body == newer
    assert after.body != before.body
    assert (after.get("etag") or "").startswith('"v2-avif-160.')
    assert len(origin.heard) == 2


async def test_what_would_not_get_smaller_stays_as_it_is_for_good() -> None:
    tight = encoded(photo(), "WEBP", quality=1)
    async with pictures(a_picture(tight, "image/webp")) as (_, world):
        reply = await settled(world, "/images/a", accept=CHROME)
        await world.get("/images/a", accept=CHROME)
        reading = world.gateway.reading()

    assert (reply.body, reply.get("content-type")) == (tight, "image/webp")
    assert "Accept" in (reply.get("vary") or "")
    assert reading.rendered == {"pictures": {"larger": 1, "as-it-is": 1}}


@pytest.mark.parametrize(
    "answer",
    [
        a_picture(b"broken"),
        a_picture(png(chart(2000, 2000)), "image/png", cache_control="no-transform"),
        a_picture(b"<svg/>", "image/svg+xml"),
        a_picture(b"var a = 1", "text/javascript"),
    ],
)
async def test_other_answers_come_as_the_origin_sent_them(answer: bytes) -> None:
    body = answer.partition(b"\r\n\r\n")[2]
    async with pictures(answer) as (_, world):
        for _ in range(3):
            reply = await world.get("/images/a?w=160", accept=CHROME)
            assert (reply.status, reply.body) == (200, body)


@pytest.mark.parametrize("path", ["/plain/a", "/live/a"])
async def test_elsewhere_pictures_and_queries_are_left_alone(path: str) -> None:
    async with pictures(path=path) as (origin, world):
        for _ in range(3):
            reply = await world.get(f"{path}?w=160", accept=CHROME)
            assert (reply.body, reply.get("content-type")) == (SOURCE, "image/jpeg")

    assert origin.heard[0].line.split()[1] == f"{path}?w=160"
    assert origin.heard[0].get("accept") == CHROME


async def test_the_origin_hears_of_few_kinds_of_clients() -> None:
    answers = [a_picture(vary="Accept")]
    async with pictures(*answers) as (origin, world):
        for accept in (
            CHROME,
            "image/avif,image/webp",
            "image/webp,image/avif;q=1.0",
            OLDER,
            OLDEST,
            "",
        ):
            await world.get("/images/a", accept=accept)

    assert [heard.get("accept") for heard in origin.heard] == [
        "image/avif,image/webp;q=0.9,*/*;q=0.1", "image/webp,*/*;q=0.1", "*/*",
    ]  # fmt: skip


@pytest.mark.parametrize("said", ["no-store", "private", None])
async def test_what_is_not_kept_says_about_caching_what_its_origin_said(said: str | None) -> None:
    rules = RULES.replace("ttl: 1y, browser_ttl: 1y, immutable: true, scope", "scope")
    answer = a_picture() if said is None else a_picture(cache_control=said)
    async with pictures(answer, rules=rules) as (_, world):
        replies = [await world.get("/images/a", accept=CHROME) for _ in range(3)]

    for reply in replies:
        assert (reply.body, reply.get("cache-control")) == (SOURCE, said)
        assert "Accept" in (reply.get("vary") or "")


@asynccontextmanager
async def a_busy_maker(of: bytes) -> AsyncIterator[tuple[World, psutil.Process]]:
    """A gateway whose process for pictures stands still, with */images/b* yet to be made."""
    origin = ScriptedOrigin({"/images/a": [a_picture()], "/images/b": [a_picture(of, "image/png")]})
    async with origin, gateway_before(origin, RULES) as world:
        await settled(world, "/images/a", accept=CHROME)
        children = psutil.Process().children()
        (maker,) = [each for each in children if "gateway.edge.render" in each.cmdline()]
        maker.suspend()
        yield world, maker


async def test_hits_do_not_wait_for_a_picture_that_takes_long() -> None:
    large = png(photo(1600, 1000))
    async with a_busy_maker(large) as (world, maker):
        meanwhile = [await world.get("/images/b", accept=CHROME) for _ in range(20)]
        maker.resume()
        avif = await settled(world, "/images/b", accept=CHROME)

    assert {reply.body for reply in meanwhile} == {large}
    assert [reply.get("x-cache") for reply in meanwhile] == ["MISS", *["HIT"] * 19]
    assert avif.get("content-type") == "image/avif"


async def test_a_picture_that_takes_too_much_of_a_processor_stays_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    large = png(photo(400, 300))
    async with a_busy_maker(large) as (world, maker):
        most, _ = resource.prlimit(maker.pid, resource.RLIMIT_CPU)
        for _ in range(20):
            await world.get("/images/b", accept=CHROME)
        # What the kernel does when the time is used up.
        maker.send_signal(signal.SIGXCPU)
        maker.resume()
        left = await settled(world, "/images/b", accept=CHROME)
        rendered = dict(world.gateway.reading().rendered["pictures"])

    # Beyond what it had used up before the picture.
    assert MOST_SECONDS < most < 2 * MOST_SECONDS
    # What comes next in its order.
    assert left.get("content-type") == "image/webp"
    assert rendered == {"made": 2, "broken": 1}
    assert f"{len(large)} bytes took longer than 60 s of processor time" in caplog.text


async def test_a_quality_that_changed_makes_new_renditions() -> None:
    async with pictures() as (_, world):
        before = await settled(world, "/images/a", accept=CHROME)
    other = RULES.replace("effort: 1", "effort: 1, quality: {avif: 20}")
    async with pictures(rules=other) as (_, world):
        after = await settled(world, "/images/a", accept=CHROME)

    assert len(after.body) < len(before.body)
