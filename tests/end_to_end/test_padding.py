"""A real browser reads what is padded against BREACH as if it weren't."""

import pytest
from playwright.async_api import Browser

from tests.doubles.origin import ScriptedOrigin, response
from tests.doubles.world import gateway_before

RULES = """\
version: 1
defaults: {{compress: {{with_query: pad, encodings: [{coding}]}}}}
routes:
  - {{name: live, match: {{path: /*}}, cache: off}}
"""
TEXT = "the same words again and again, " * 400


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip", "deflate"])
async def test_a_browser_reads_padded_bodies(browser: Browser, coding: str) -> None:
    origin = ScriptedOrigin(
        {
            "/": [response(body=b"<!doctype html><title>A</title>", content_type="text/html")],
            "/text": [response(body=TEXT.encode(), content_type="text/plain")],
        }
    )
    async with origin, gateway_before(origin, RULES.format(coding=coding)) as world:
        page = await browser.new_page()
        await page.goto(f"http://{world.address[0]}:{world.address[1]}/")
        read = await page.evaluate(
            """async () => Promise.all([...Array(12).keys()].map(async each => {
                const answer = await fetch('/text?guess=' + each);
                return [await answer.text(), answer.headers.get('content-encoding'),
                        answer.headers.get('content-length')];
            }))"""
        )

    assert [text for text, *_ in read] == [TEXT] * 12
    assert {used for _, used, _ in read} == {coding}
    assert len({length for *_, length in read}) > 4
