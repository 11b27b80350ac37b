"""The pages in a real browser: what they weigh, what they do, who can use them."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page, expect

from tests.doubles.browser import Received, Traffic, accessibility_faults
from tests.upstream.world import Client
from upstream.app import make_app
from upstream.context import Hub

PUBLIC = ("/", "/blog", "/blog/one-dashboard", "/docs", "/docs/trpc", "/login")
PRIVATE = (
    "/dashboard",
    "/dashboard/issues",
    "/dashboard/runs",
    "/dashboard/tests",
    "/dashboard/analytics",
    "/dashboard/projects",
    "/dashboard/billing",
)
DASHBOARD_BUDGET = 100_000
"""Bytes of a whole first load. The hub itself compresses nothing, the gateway does, so what
keeps to it here is well below it for people."""
PAGE_BUDGET = 280_000
PATIENCE = 15_000
"""Milliseconds; much more than anything takes."""

Opening = Callable[..., Awaitable[Page]]


@pytest.fixture
async def site(hub: Hub) -> AsyncIterator[str]:
    """Serve the hub and return where."""
    async with TestServer(make_app(hub)) as server:
        yield str(server.make_url("")).rstrip("/")
        hub.broadcaster.close()


@pytest.fixture
async def new_page(browser: Browser, site: str) -> Opening:
    """Return what opens a page of a reader with cookies of its own; what fails there fails us."""

    async def open_page(path: str, **context: object) -> Page:
        page = await (await browser.new_context(base_url=site, **context)).new_page()  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: pytest.fail(f"{page.url}: {error}"))
        await page.goto(path)
        return page

    return open_page


async def log_in(page: Page, email: str) -> None:
    """Log in by the form of the login page, which *page* shows."""
    await page.get_by_label("Email address").fill(email)
    await page.get_by_label("Password").fill("demo-password")
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(lambda address: urlsplit(address).path.startswith("/dashboard"))


async def live(page: Page) -> None:
    """Wait until *page* hears what others change."""
    await expect(page.locator("body")).to_have_attribute("data-listening", "on", timeout=PATIENCE)


async def settled(page: Page, traffic: Traffic) -> None:
    """Wait until *page* has loaded whatever it loads by itself."""
    await page.wait_for_load_state("load")
    if await page.locator("body.app").count():
        await live(page)
    while True:
        before = len(traffic.received)
        await page.evaluate("() => new Promise((done) => setTimeout(done, 250))")
        if len(traffic.received) == before:
            return


async def test_the_first_load_of_every_page_keeps_to_its_budget(
    new_page: Opening, site: str, record_property: Callable[[str, object], None]
) -> None:
    reader = await new_page("/login")
    await log_in(reader, "ada@acme.test")
    cookies = await reader.context.cookies()
    weights = {}
    for path in PUBLIC + PRIVATE:
        page = await new_page("about:blank")  # nothing is in its cache
        await page.context.add_cookies(cookies)  # type: ignore[arg-type]
        traffic = await Traffic.of(page)
        await page.goto(path)
        await settled(page, traffic)

        weights[path] = traffic.wire_bytes
        assert_same_site(traffic.received, site)
        budget = DASHBOARD_BUDGET if path.startswith("/dashboard") else PAGE_BUDGET
        assert 5_000 < traffic.wire_bytes < budget, f"{path}\n{traffic.table()}"
        await page.context.close()
    record_property("weights", weights)


def assert_same_site(received: list[Received], site: str) -> None:
    foreign = [one.url for one in received if not one.url.startswith((site, "data:"))]
    assert foreign == []


async def test_a_page_loads_the_modules_that_it_has_a_use_for_and_no_others(
    new_page: Opening,
) -> None:
    page = await new_page("/login?next=/dashboard/billing")
    first = await Traffic.of(page)
    await log_in(page, "ada@acme.test")
    await settled(page, first)
    assert modules(first) == {"app", "live", "region", "api"}

    second = await Traffic.of(page)
    await page.goto("/dashboard/runs")
    await settled(page, second)

    assert {"runs", "filters"} <= modules(second)
    assert not modules(second) & {"issues", "chart", "projects"}


def modules(traffic: Traffic) -> set[str]:
    names = (
        re.search(r"/_next/static/(\w+)\.[0-9a-f]{10}\.js$", one.url) for one in traffic.received
    )
    return {name[1] for name in names if name}


async def test_a_reader_filters_resolves_and_another_sees_it_live(new_page: Opening) -> None:
    ada, ben = await new_page("/dashboard/issues"), await new_page("/dashboard/issues?status=open")
    await log_in(ada, "ada@acme.test")
    await log_in(ben, "ben@acme.test")
    assert ada.url.endswith("/dashboard/issues")
    await live(ada)
    await live(ben)

    await ada.get_by_label("Severity").select_option("critical")
    await ada.wait_for_url("**/dashboard/issues?severity=critical")
    await ada.get_by_label("Status").select_option("open")
    await ada.wait_for_url("**/dashboard/issues?status=open&severity=critical")
    tags = ada.locator("tbody .tag")
    await expect(tags.first).to_have_text("critical")
    assert {text.lower() for text in await tags.all_inner_texts()} == {"critical", "open"}

    await ben.goto(ada.url)
    await live(ben)
    row = ada.locator("tbody tr").first
    number = await row.get_attribute("data-row")
    same = ben.locator(f'tr[data-row="{number}"]')
    await expect(same).to_have_count(1)
    await row.get_by_role("button", name="Resolve").click()

    await expect(ada.get_by_role("status")).to_contain_text("resolved", timeout=PATIENCE)
    await expect(ada.locator(f'tr[data-row="{number}"]')).to_have_count(0)
    await expect(same).to_have_count(0, timeout=PATIENCE)
    await expect(ben.get_by_role("status")).to_contain_text("An issue was resolved")

    await ada.goto("/dashboard/issues?status=resolved&severity=critical")
    again = ada.locator(f'[data-issue="{number}"]')
    if await again.count():  # on the first page, unless older ones were found later
        await again.click()
        await expect(same).to_have_count(1, timeout=PATIENCE)


async def test_a_reader_searches_while_typing(new_page: Opening) -> None:
    page = await new_page("/dashboard/projects")
    await log_in(page, "ada@acme.test")

    await page.get_by_label("Search").press_sequentially("CHECKOUT")

    await page.wait_for_url("**/dashboard/projects?search=CHECKOUT")
    await expect(page.get_by_role("status")).to_contain_text("in all")
    names = await page.locator("tbody td:first-child strong").all_inner_texts()
    assert names
    assert all("checkout" in name.lower() for name in names)
    await page.go_back()
    await expect(page.get_by_label("Search")).to_have_value("")


async def test_a_project_is_created_and_run_from_the_keyboard(
    new_page: Opening, ada: Client
) -> None:
    page = await new_page("/dashboard/projects")
    await log_in(page, "ada@acme.test")
    await page.locator("summary").focus()
    await page.keyboard.press("Enter")
    await page.get_by_label("Name", exact=True).fill("Made in a browser")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("Made in a browser was created")
    await expect(page.locator("tbody tr").first).to_contain_text("Made in a browser")

    await page.goto("/dashboard/runs")
    await page.locator("#start-project").select_option(label="Made in a browser")
    await page.get_by_role("button", name="Start a run").click()

    await expect(page.get_by_role("status")).to_contain_text("of Made in a browser waits")
    await expect(page.locator("tbody tr").first).to_contain_text("queued")
    await page.get_by_role("button", name="Start a run").click()
    await expect(page.get_by_role("status")).to_contain_text("is waiting already")


async def test_pages_are_read_without_any_script(new_page: Opening) -> None:
    page = await new_page("/dashboard/issues", java_script_enabled=False)
    await log_in(page, "alan@initech.test")

    await page.get_by_label("Status").select_option("resolved")
    await page.get_by_role("button", name="Filter").click()

    assert "status=resolved" in page.url
    assert set(await page.locator("tbody td:nth-child(6)").all_inner_texts()) == {"Resolved"}
    await expect(page.get_by_role("button", name="Reopen")).to_have_count(0)
    await page.get_by_role("link", name="Older").click()
    assert "status=resolved&page=2" in page.url
    for path in PUBLIC + PRIVATE:
        await page.goto(path)
        await expect(page.locator("h1")).to_be_visible()
        assert len(await page.locator("main").inner_text()) > 30


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everybody_can_use_every_page(new_page: Opening, scheme: str) -> None:
    page = await new_page("/login", color_scheme=scheme)
    faults = {"/login": await accessibility_faults(page)}
    await log_in(page, "ada@acme.test")
    for path in PUBLIC[:-1] + PRIVATE:
        await page.goto(path)
        if path in PRIVATE:
            await live(page)
        faults[path] = await accessibility_faults(page)

    assert {path: found for path, found in faults.items() if found} == {}


async def test_the_keyboard_reaches_the_content_first_and_then_everything(
    new_page: Opening,
) -> None:
    page = await new_page("/dashboard/issues")
    await log_in(page, "ada@acme.test")

    visited = []
    for key in ("Tab", "Enter", "Tab", "Tab"):
        await page.keyboard.press(key)
        if key == "Enter":
            await page.wait_for_url("**/dashboard/issues#content")
        # Asked of the document: a window without a screen isn't the one that has the focus.
        visited.append(await page.evaluate("() => document.activeElement.id || 'skip'"))

    assert visited == ["skip", "content", "filter-search", "filter-status"]


@pytest.mark.parametrize("width", [360, 768, 1280])
async def test_no_page_is_wider_than_its_screen(new_page: Opening, width: int) -> None:
    page = await new_page("/login", viewport={"width": width, "height": 800})
    await log_in(page, "ada@acme.test")

    for path in PUBLIC[:-1] + PRIVATE:
        await page.goto(path)
        inner = await page.evaluate("() => document.documentElement.scrollWidth")
        assert inner <= width, f"{path} is {inner} pixels wide"


async def test_live_updates_go_on_after_the_connection_was_cut(
    new_page: Opening, hub: Hub, ada: Client
) -> None:
    page = await new_page("/dashboard/projects")
    await log_in(page, "ada@acme.test")
    await live(page)
    for subscription in tuple(hub.broadcaster._readers[1]):
        subscription.close()
    await expect(page.locator("body")).to_have_attribute("data-listening", "off", timeout=PATIENCE)

    await ada.patch("/api/projects/1", json={"name": "Renamed meanwhile"})

    await expect(page.get_by_role("status")).to_contain_text(
        "A project was changed", timeout=PATIENCE
    )
