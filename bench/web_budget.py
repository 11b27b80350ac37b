"""What a browser receives of the hub's pages through the gateway: `make web-budget`.

Chromium, without a window and without a cache, opens each page; then once more with what it has
kept. Bytes are those on the wire, heads included, as the browser's own network domain counts
them. The budgets are the brief's: 100 KB for the first load of the dashboard, 280 KB for any.
"""

import argparse
import asyncio
import sys
from collections import defaultdict
from dataclasses import dataclass, field

from playwright.async_api import Browser, BrowserContext, CDPSession, Page, async_playwright

from loadtest.place import started
from tests.doubles.browser import CHROMIUM_FLAGS, chromium

DASHBOARD_BYTES = 100_000
PAGE_BYTES = 280_000
PAGES = (
    ("home", "/"),
    ("blog", "/blog"),
    ("docs", "/docs"),
    ("login", "/login"),
    ("dashboard", "/dashboard"),
    ("issues", "/dashboard/issues"),
    ("runs", "/dashboard/runs"),
    ("tests", "/dashboard/tests"),
    ("analytics", "/dashboard/analytics"),
    ("projects", "/dashboard/projects"),
)
_SETTLED_MS = 500
_RENDERED_SECONDS = 2.0


@dataclass(slots=True)
class Load:
    """One load of one page."""

    by_kind: dict[tuple[str, str, str], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0])
    )
    """By type, coding and X-Cache: how many, and how many bytes."""

    @property
    def wire_bytes(self) -> int:
        """All of them."""
        return sum(size for _, size in self.by_kind.values())


class Wire:
    """What one page receives, with the coding and the cache's word of each answer."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[str, str, str]] = {}
        self.load = Load()

    @classmethod
    async def of(cls, page: Page) -> "Wire":
        """Begin to watch *page*."""
        session: CDPSession = await page.context.new_cdp_session(page)
        wire = cls()
        session.on("Network.responseReceived", wire._head)
        session.on("Network.loadingFinished", wire._end)
        await session.send("Network.enable")
        return wire

    def _head(self, event: dict[str, object]) -> None:
        response = event["response"]
        assert isinstance(response, dict)
        fields = {name.lower(): value for name, value in response["headers"].items()}
        kept = bool(response.get("fromDiskCache") or response.get("fromPrefetchCache"))
        word = "browser" if kept else fields.get("x-cache", "-")
        coding = fields.get("content-encoding", "as it is")
        if event["type"] == "Image" and coding == "as it is":
            coding = fields.get("content-type", "").removeprefix("image/") or coding
        self._asked[str(event["requestId"])] = (str(event["type"]), coding, word)

    def _end(self, event: dict[str, object]) -> None:
        asked = self._asked.get(str(event["requestId"]))
        if asked is not None:
            count = self.load.by_kind[asked]
            count[0] += 1
            size = event["encodedDataLength"]
            assert isinstance(size, int | float)
            count[1] += int(size)


async def _loaded(context: BrowserContext, url: str) -> Load:
    page = await context.new_page()
    wire = await Wire.of(page)
    await page.goto(url)
    await page.wait_for_load_state("load")
    # Live updates keep a stream open, so the network is never idle.
    await page.wait_for_timeout(_SETTLED_MS)
    await page.close()
    return wire.load


async def _signed_in(browser: Browser, base: str) -> BrowserContext:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{base}/login")
    await page.locator("input[type=email]").fill("ada@acme.test")
    await page.locator("input[type=password]").fill("demo-password")
    await page.locator("form button[type=submit], form button:not([type])").first.click()
    await page.wait_for_url("**/dashboard**")
    await page.close()
    return context


async def _context(browser: Browser, base: str, path: str) -> BrowserContext:
    """Return a browser that has nothing but, where *path* asks for them, a login's cookies."""
    if not path.startswith("/dashboard"):
        return await browser.new_context()
    signed_in = await _signed_in(browser, base)
    # The way in has loaded files of its own; the cookies are what is wanted.
    state = await signed_in.storage_state()
    await signed_in.close()
    return await browser.new_context(storage_state=state)


async def measure(base: str) -> int:
    """Print every page's loads; return 1 when one is over its budget."""
    over = 0
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(), args=list(CHROMIUM_FLAGS), chromium_sandbox=False
        )
        print(f"{'page':10} {'load':7} {'bytes':>8}  {'budget':>8}  what")
        for name, path in PAGES:
            # Each page by itself: a first load has nothing from the one before. Whoever was
            # there before has filled the gateway's cache, as everywhere but once a day.
            await _loaded(await _context(browser, base, path), base + path)
            # Renditions of pictures are made in the background.
            await asyncio.sleep(_RENDERED_SECONDS)
            context = await _context(browser, base, path)
            first = await _loaded(context, base + path)
            budget = DASHBOARD_BYTES if path == "/dashboard" else PAGE_BYTES
            over += first.wire_bytes > budget
            _print(name, "first", first, budget)
            _print("", "repeat", await _loaded(context, base + path), None)
            await context.close()
        await browser.close()
    print("over budget" if over else "all within budget")
    return 1 if over else 0


def _print(name: str, which: str, load: Load, budget: int | None) -> None:
    shown = f"{budget:,}" if budget is not None else ""
    print(f"{name:10} {which:7} {load.wire_bytes:8,}  {shown:>8}")
    for (kind, coding, word), (count, size) in sorted(
        load.by_kind.items(), key=lambda item: -item[1][1]
    ):
        print(f"{'':28} {size:8,}  {count:2} {kind:11} {coding:9} {word}")


def main() -> int:
    """Measure; return 1 when a page is over its budget."""
    parser = argparse.ArgumentParser(prog="python -m bench.web_budget", description=__doc__)
    parser.add_argument("--base", help="a running gateway's URL (default: start one)")
    options = parser.parse_args()
    if options.base:
        return asyncio.run(measure(options.base.rstrip("/")))
    with started(workers=1) as place:
        return asyncio.run(measure(place.base))


if __name__ == "__main__":
    sys.exit(main())
