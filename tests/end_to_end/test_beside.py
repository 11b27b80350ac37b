"""Two gateways with one state directory keep apart what outlives them."""

import asyncio
from pathlib import Path

from tests.doubles.origin import PATIENCE
from tests.end_to_end.real import gateway_process
from tests.end_to_end.replicas import Versions, filled, get, purge

RULES = """\
version: 1
tiers:
  local: {size: 32MB}
routes:
  - name: pages
    match: {path: /*}
    cache: {ttl: 1h, scope: public}
"""


async def test_the_second_has_a_folder_of_its_own_and_hears_of_no_purge_of_the_first(
    tmp_path: Path,
) -> None:
    pages = Versions()
    async with (
        pages.origin,
        gateway_process(tmp_path, pages.origin, workers=2, rules_text=RULES) as first,
        gateway_process(tmp_path, pages.origin, workers=2, rules_text=RULES) as second,
    ):
        await filled(first)
        pages.now = 2
        await filled(second)
        assert {(await get(second)).body for _ in range(8)} == {b"2"}
        pages.now = 3
        await purge(first, url="/a")
        assert {(await get(first)).body for _ in range(8)} == {b"3"}
        assert {(await get(second)).body for _ in range(8)} == {b"2"}

        assert (tmp_path / "state" / "local" / "data.mdb").exists()
        assert (tmp_path / "state" / "gateway-2" / "local" / "data.mdb").exists()
        async with asyncio.timeout(PATIENCE):
            for gateway in (second, first):
                gateway.process.terminate()
                await gateway.process.wait()
