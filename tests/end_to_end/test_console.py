"""The console, as operators use it: a real gateway, a real browser, the admin token."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.doubles.browser import accessibility_faults, browser
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok, response
from tests.doubles.serving import Serving, get
from tests.end_to_end.real import connect, gateway_process

__all__ = ["browser"]

TOKEN = "0123456789abcdef-of-the-console"
RULES = """\
version: 1
routes:
  - {name: account, match: {path: /account/*}, cache: off}
  - {name: blog, match: {path: /blog/*}, cache: {ttl: 60s, scope: public}}
  - {name: lists, match: {path: /api/*}, cache: {ttl: 10s, scope: public}}
tests:
  - {request: GET /blog/a, expect: {route: blog, ttl: 60s}}
"""


def an_origin() -> ScriptedOrigin:
    async def anything(heard: Heard, wire: Wire) -> None:
        target = heard.line.split(" ")[1]
        if target.startswith("/api/broken"):
            await wire.send(response("500 Internal Server Error", b"broken"))
        elif target.startswith("/api/private"):
            await wire.send(ok(b"mine", cache_control="private"))
        else:
            await wire.send(ok(b"x" * 2000, cache_tag="posts"))

    return ScriptedOrigin({"*": [anything]})


async def traffic(gateway: Serving, times: int = 5) -> None:
    client = await connect(gateway)
    for _ in range(times):
        for target in ("/blog/a", "/blog/b", "/api/lists", "/api/private", "/account/me"):
            await client.get(target)
    await client.get("/api/broken")
    client.close()


@asynccontextmanager
async def console(
    tmp_path: Path, browser: Browser, *, token: bool = True
) -> AsyncIterator[tuple[Serving, Page]]:
    environ = {"GATEWAY_ADMIN_TOKEN": TOKEN} if token else {}
    origin = an_origin()
    async with (
        origin,
        gateway_process(tmp_path, origin, workers=2, rules_text=RULES, environ=environ) as gateway,
    ):
        page = await browser.new_page(viewport={"width": 1440, "height": 1000})
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type == "error" else None,
        )
        host, port = gateway.admin
        await page.goto(f"http://{host}:{port}/console")
        await expect(page.get_by_role("status").first).to_have_text("live")
        yield gateway, page
        await page.close()
        # What the API refuses shows as a failed request; nothing else may be complained about.
        assert [each for each in complaints if "Failed to load resource" not in each] == []


async def test_it_shows_what_happens_as_it_happens(tmp_path: Path, browser: Browser) -> None:
    async with console(tmp_path, browser) as (gateway, page):
        await traffic(gateway)
        routes = page.get_by_role("table", name="Routes since the start")
        await expect(routes.get_by_role("row", name="blog 10")).to_be_visible()
        await expect(page.locator("#tiles")).to_contain_text("hit rate")
        await expect(page.get_by_role("img", name="Now: all")).to_be_visible()
        await expect(page.locator("#chart-hits")).to_contain_text("blog")
        top = page.get_by_role("table", name="Busiest")
        await expect(top).to_contain_text("/blog/a")
        await page.get_by_role("button", name="misses").click()
        await expect(page.get_by_role("button", name="misses")).to_have_attribute(
            "aria-pressed", "true"
        )
        why = page.get_by_role("table", name="Not cached, and why")
        await expect(why.get_by_role("row", name="/account/me")).to_contain_text("cache-off")
        await expect(why.get_by_role("row", name="/api/private")).to_contain_text("private")
        wrong = page.get_by_role("table", name="Went wrong lately")
        await expect(wrong).to_contain_text("/api/broken")
        assert await accessibility_faults(page) == []


async def test_purging_and_explaining_take_a_form_each(tmp_path: Path, browser: Browser) -> None:
    async with console(tmp_path, browser) as (gateway, page):
        await traffic(gateway)
        await page.get_by_label("What", exact=True).select_option("group")
        await page.get_by_label("Name").fill("posts")
        await page.get_by_role("button", name="Purge").click()
        await expect(page.locator("#receipt")).to_contain_text("Purged (soft)")
        await expect(page.locator("#receipt")).to_contain_text("worker 2")
        await page.get_by_label("What", exact=True).select_option("all")
        await page.get_by_role("button", name="Purge").click()
        await expect(page.locator("#receipt")).to_contain_text('write "all"')

        await page.get_by_label("Path and query").fill("/blog/a")
        await page.get_by_label("Host").fill("hub.test")
        await page.get_by_role("button", name="Explain").click()
        await expect(page.locator("#explanation")).to_contain_text("route     blog")
        await expect(page.locator("#explanation")).to_contain_text("200, 2 KB")


async def test_rules_are_checked_proposed_applied_and_rolled_back(
    tmp_path: Path, browser: Browser
) -> None:
    async with console(tmp_path, browser) as (gateway, page):
        text = page.get_by_label("The file; it is checked as you type")
        verdict = page.locator("#rules-verdict")
        await expect(verdict).to_have_text("Good: 4 routes, 1 of 1 tests passed.")
        await text.fill(RULES.replace("ttl: 10s", "tll: 10s"))
        await expect(verdict).to_contain_text("Can't be used")
        await expect(page.locator("#rules-findings")).to_contain_text(
            'line 5, column 50: unknown key "tll"'
        )
        await page.locator("#rules-findings button").first.click()
        await expect(text).to_be_focused()

        changed = RULES.replace("ttl: 10s", "ttl: 5m")
        await text.fill(changed)
        apply = page.get_by_role("button", name="Apply")
        await expect(apply).to_be_disabled()
        await page.get_by_role("button", name="What would change?").click()
        await expect(page.get_by_role("table", name="What would change")).to_contain_text("5m")
        await apply.click()
        await expect(verdict).to_contain_text("send Authorization")
        assert (tmp_path / "rules.yaml").read_text() == RULES

        await page.get_by_label("Admin token").fill(TOKEN)
        await page.get_by_role("button", name="Use").click()
        await apply.click()
        await expect(verdict).to_contain_text("is in force")
        assert (tmp_path / "rules.yaml").read_text() == changed
        await expect(page.get_by_role("table", name="What holds now")).to_contain_text("5 min")
        await page.get_by_role("button", name="Roll back").click()
        await expect(verdict).to_contain_text("Rolled back")
        assert (tmp_path / "rules.yaml").read_text() == RULES
        assert '"rules_error":null' in (await get(gateway.admin, "/readyz")).body


async def test_without_a_token_nothing_changes_the_rules(tmp_path: Path, browser: Browser) -> None:
    async with console(tmp_path, browser, token=False) as (_, page):
        text = page.get_by_label("The file; it is checked as you type")
        await expect(page.locator("#rules-verdict")).to_contain_text("Good")
        await text.fill(RULES.replace("ttl: 10s", "ttl: 30s"))
        await page.get_by_role("button", name="What would change?").click()
        await page.get_by_role("button", name="Apply").click()
        await expect(page.locator("#rules-verdict")).to_contain_text("GATEWAY_ADMIN_TOKEN")
        assert (tmp_path / "rules.yaml").read_text() == RULES


async def test_the_whole_console_is_small(tmp_path: Path, browser: Browser) -> None:
    async with console(tmp_path, browser) as (gateway, page):
        sizes = await page.evaluate(
            "performance.getEntriesByType('resource').filter(e => e.name.includes('/console/'))"
            ".map(e => e.decodedBodySize)"
        )
        assert len(sizes) >= 4
        assert 0 < sum(sizes) < 100_000
        assert gateway.process.returncode is None


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_its_colours_have_contrast_in_either_theme(
    tmp_path: Path, browser: Browser, theme: str
) -> None:
    async with console(tmp_path, browser) as (gateway, page):
        await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        await traffic(gateway)
        await expect(page.locator("#tiles dd").first).to_be_visible()
        await asyncio.wait_for(page.wait_for_selector("#top td.mono"), 20)
        assert await accessibility_faults(page) == []
