"""What is in demand is fetched again before clients wait for it."""

import asyncio
from pathlib import Path

from tests.doubles.origin import PATIENCE
from tests.end_to_end.real import gateway_process
from tests.end_to_end.replicas import Versions, filled, get, purge

RULES = """\
version: 1
tiers:
  memory: {size: 32MB}
  local: {size: 32MB}
routes:
  - name: own
    match: {path: /h}
    cache: {ttl: 1h, scope: user}
  - name: pages
    match: {path: /*}
    cache: {ttl: 1h, scope: public}
"""
WARM = "warm: {most: 2, rate: 50}\n"


async def test_after_a_purge_the_busiest_public_urls_are_fetched_again(tmp_path: Path) -> None:
    pages = Versions()
    async with (
        pages.origin,
        gateway_process(tmp_path, pages.origin, rules_text=RULES + WARM) as gateway,
    ):
        for target, times in (("/a", 8), ("/b", 6), ("/c", 2), ("/h", 9)):
            for _ in range(times):
                await get(gateway, target)
        before = len(pages.origin.heard)
        pages.now = 2
        await purge(gateway, group="pages")
        await pages.origin.until_heard(before + 2)
        fetched = {heard.line.split()[1] for heard in pages.origin.heard[before:]}

        assert fetched == {"/a", "/b"}
        assert ((await get(gateway)).word, (await get(gateway)).body) == ("HIT", b"2")


async def test_at_the_start_what_was_busy_before_is_fetched_when_it_is_not_there(
    tmp_path: Path,
) -> None:
    pages = Versions()
    async with pages.origin:
        async with gateway_process(tmp_path, pages.origin, rules_text=RULES + WARM) as gateway:
            for _ in range(5):
                await filled(gateway)
            await purge(gateway, url="/nothing")
            async with asyncio.timeout(PATIENCE):
                while not (tmp_path / "state" / "popular.json").exists():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            gateway.process.terminate()
            await gateway.ended()
        for file in (tmp_path / "state" / "local").iterdir():
            file.unlink()
        before = len(pages.origin.heard)
        async with gateway_process(tmp_path, pages.origin, rules_text=RULES + WARM) as gateway:
            await pages.origin.until_heard(before + 1)
            assert pages.origin.heard[before].line == "GET /a HTTP/1.1"
            gateway.process.terminate()
            await gateway.ended()
