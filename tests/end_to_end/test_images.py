"""A real browser shows the pictures of a page in the best format that it takes."""

import time
from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Response

from tests.doubles.origin import Answer, ScriptedOrigin, response
from tests.doubles.pictures import animation, jpeg, located, png
from tests.doubles.world import World, gateway_before

RULES = """\
version: 1
routes:
  - name: pictures
    match: {path: /images/*}
    cache: {ttl: 1h, scope: public}
    images: {effort: 1, widths: [160, 320]}
"""
PAGE = b"""<!doctype html><html lang=en><title>Pictures</title>
<img id=photo src="/images/photo" srcset="/images/photo?w=160 160w" sizes=160px alt="a photo">
<img id=turned src="/images/turned" alt="a photo on its side">
<img id=chart src="/images/chart" alt="a chart">
<img id=moving src="/images/moving" alt="an animation">"""
SOURCES = {
    "/images/photo": (jpeg(), "image/jpeg"),
    "/images/turned": (located(), "image/jpeg"),
    "/images/chart": (png(), "image/png"),
    "/images/moving": (animation(), "image/gif"),
}
PATIENCE = 60.0


@pytest.fixture
async def world() -> AsyncIterator[World]:
    answers: dict[str, list[Answer]] = {
        path: [response(body=body, content_type=kind, etag='"v1"')]
        for path, (body, kind) in SOURCES.items()
    }
    answers["/"] = [response(body=PAGE, content_type="text/html; charset=utf-8")]
    origin = ScriptedOrigin(answers)
    async with origin, gateway_before(origin, RULES) as world:
        yield world


async def shown(page: Page, world: World) -> tuple[dict[str, str], dict[str, list[int]]]:
    """Return what a page gets of each picture, and how large it shows them."""
    kinds: dict[str, str] = {}

    def note(received: Response) -> None:
        if "/images/" in received.url:
            kinds[received.url.rpartition("/")[2]] = received.headers["content-type"]

    page.on("response", note)
    await page.goto(f"http://{world.address[0]}:{world.address[1]}/")
    sizes: dict[str, list[int]] = await page.evaluate(
        """() => Promise.all([...document.images].map(each => each.decode())).then(() =>
        Object.fromEntries([...document.images].map(
            each => [each.id, [each.naturalWidth, each.naturalHeight]])))"""
    )
    return kinds, sizes


async def at_last(
    browser: Browser, world: World, kinds: Collection[str], **context: Any
) -> tuple[dict[str, str], dict[str, list[int]]]:
    """Return what `shown` does to a new visitor once every picture is of one of *kinds*."""
    end = time.monotonic() + PATIENCE
    while True:
        visitor = await browser.new_context(**context)
        found, sizes = await shown(await visitor.new_page(), world)
        await visitor.close()
        if set(found.values()) <= set(kinds):
            return found, sizes
        assert time.monotonic() < end, found


async def test_a_page_shows_every_picture_as_small_as_its_browser_takes_it(
    browser: Browser, world: World
) -> None:
    kinds, sizes = await at_last(browser, world, ("image/avif", "image/webp"))

    assert kinds == {
        "photo?w=160": "image/avif",
        "turned": "image/avif",
        "moving": "image/avif",
        "chart": "image/webp",  # which does it without loss, and smaller
    }
    assert sizes == {
        "photo": [160, 100], "turned": [400, 640], "chart": [640, 400], "moving": [160, 100],
    }  # fmt: skip


async def test_a_browser_without_avif_is_shown_webp(browser: Browser, world: World) -> None:
    older = {"Accept": "text/html,image/webp,*/*;q=0.8"}
    kinds, sizes = await at_last(browser, world, ("image/webp",), extra_http_headers=older)

    assert len(kinds) == 4
    assert sizes["turned"] == [400, 640]


async def test_a_browser_that_takes_neither_is_shown_the_sources(
    browser: Browser, world: World
) -> None:
    context = await browser.new_context(extra_http_headers={"Accept": "text/html,image/*,*/*"})

    for _ in range(2):
        kinds, sizes = await shown(await context.new_page(), world)

        assert {kinds[name] for name in ("turned", "chart", "moving")} == {
            "image/jpeg", "image/png", "image/gif",
        }  # fmt: skip
        assert sizes["turned"] == [400, 640]


async def test_a_first_visitor_sees_the_sources_at_once(browser: Browser, world: World) -> None:
    kinds, sizes = await shown(await browser.new_page(), world)

    assert kinds["chart"] == "image/png"
    assert sizes["chart"] == [640, 400]
