"""A real browser for the tests: Debian's Chromium, without a window, driven by Playwright.

``make browser`` installs it; nothing is downloaded while tests run.  A page is what
`browser.new_page()` gives; somebody else's is one of another `browser.new_context()`,
which has cookies of its own.
"""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, CDPSession, Page, async_playwright

_COMMANDS = ("chromium", "chromium-browser", "google-chrome")
"""What Debian, Ubuntu and Google call it."""
CHROMIUM_FLAGS = (
    "--no-sandbox",  # its sandbox refuses to start as root, which a container's user often is
    "--disable-dev-shm-usage",  # containers have a /dev/shm of 64 MB
    "--disable-gpu",
)
_ASKED_OF_A_PAGE = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def chromium() -> str:
    """Return where Chromium is, or fail the test with what to do."""
    for command in _COMMANDS:
        if path := shutil.which(command):
            return path
    pytest.fail("there is no Chromium to test pages with: run `make browser`", pytrace=False)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Lend a browser without any history."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(), args=list(CHROMIUM_FLAGS), chromium_sandbox=False
        )
        yield browser
        await browser.close()


@dataclass(frozen=True, slots=True)
class Received:
    """One answer that a page asked for, as it came over the wire."""

    url: str
    kind: str
    """What it was wanted for, in the protocol's words: Document, Script, Image and so on."""
    wire_bytes: int
    """The length of head and body, still compressed; 0 for what came out of the cache."""


class Traffic:
    """What one page receives, told by the browser itself (CDP's Network domain)."""

    def __init__(self) -> None:
        self._asked: dict[str, tuple[str, str]] = {}
        self.received: list[Received] = []

    @classmethod
    async def of(cls, page: Page) -> "Traffic":
        """Begin to watch *page*; what it received before isn't known."""
        session: CDPSession = await page.context.new_cdp_session(page)
        traffic = cls()
        session.on("Network.responseReceived", traffic._head)
        session.on("Network.loadingFinished", traffic._end)
        await session.send("Network.enable")
        return traffic

    @property
    def wire_bytes(self) -> int:
        """The bytes of everything received so far."""
        return sum(one.wire_bytes for one in self.received)

    def table(self) -> str:
        """Return one line for each answer, the heaviest first, for a failing test to show."""
        ordered = sorted(self.received, key=lambda one: -one.wire_bytes)
        return "\n".join(f"{one.wire_bytes:8,} {one.kind:10} {one.url}" for one in ordered)

    def _head(self, event: dict[str, Any]) -> None:
        self._asked[event["requestId"]] = (event["response"]["url"], event["type"])

    def _end(self, event: dict[str, Any]) -> None:
        if asked := self._asked.get(event["requestId"]):
            self.received.append(Received(*asked, int(event["encodedDataLength"])))


async def accessibility_faults(page: Page) -> list[str]:
    """Return what axe-core finds wrong on *page* as it is shown now: rule, reason, element."""
    found = await Axe().run(page, options={"runOnly": {"type": "tag", "values": _ASKED_OF_A_PAGE}})
    return [
        f"{fault['id']}: {fault['help']}: {node['html']}"
        for fault in found.response["violations"]
        for node in fault["nodes"]
    ]
