"""Rules in several files, one of which changes while the gateway serves."""

import asyncio
from pathlib import Path

from tests.doubles.origin import ScriptedOrigin
from tests.doubles.serving import PATIENCE
from tests.end_to_end.real import connect, gateway_process

RULES = "version: 1\ninclude: more/pages.yaml\n"


def pages(body: str) -> str:
    return f"routes:\n  - {{name: pages, match: {{path: /*}}, respond: {{body: {body}}}}}\n"


async def test_a_change_in_an_included_file_comes_into_force(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    file = tmp_path / "more" / "pages.yaml"
    file.write_text(pages("one"))
    origin = ScriptedOrigin({})
    async with origin, gateway_process(tmp_path, origin, rules_text=RULES) as gateway:
        client = await connect(gateway)
        before = (await client.get("/a")).body
        file.write_text(pages("two"))
        after = before
        async with asyncio.timeout(PATIENCE):
            while after == before:
                await asyncio.sleep(0.05)
                after = (await client.get("/a")).body
        client.close()

    assert (before, after) == (b"one", b"two")
