"""`gateway stats` says what was served, and from which tier."""

import asyncio
import json
import sys
from pathlib import Path

from tests.doubles.origin import PATIENCE, ScriptedOrigin, ok
from tests.end_to_end.real import connect, gateway_process

RULES = """\
version: 1
tiers:
  local: {size: 32MB}
routes:
  - name: pages
    match: {path: /*}
    cache: {ttl: 1h, scope: public}
"""


async def stats(admin: tuple[str, int], *flags: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "stats", "--admin", f"{admin[0]}:{admin[1]}", *flags),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_hits_and_misses_are_told_by_route_and_by_tier(tmp_path: Path) -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    async with origin, gateway_process(tmp_path, origin, rules_text=RULES) as gateway:
        for _ in range(4):
            client = await connect(gateway)
            await client.get("/a")
            client.close()
        told = json.loads(await stats(gateway.admin, "--json"))
        text = await stats(gateway.admin)

    (route,) = [each for each in told["routes"] if each["route"] == "pages"]
    assert (route["requests"], route["hits"]) == (4, 3)
    (tier,) = told["tiers"]
    assert (tier["tier"], tier["hits"], tier["misses"], tier["up"]) == ("local", 0, 1, True)
    assert "4 requests, 75.0% hits" in text
    assert "local" in text
