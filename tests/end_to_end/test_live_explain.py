"""`gateway explain --live` against a running gateway, as an operator uses it."""

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.serving import PATIENCE, Serving
from tests.end_to_end.real import gateway_process

TOKEN = "the-token-of-the-operators"
RULES = """\
version: 1
routes:
  - {name: pages, match: {path: /*}, cache: {ttl: 1h, scope: public}}
"""


async def explain(gateway: Serving, *flags: str, token: str = TOKEN) -> tuple[int, str, str]:
    host, port = gateway.listen
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "explain", "GET", "/a?b=1"),
        *("--live", f"http://{host}:{port}", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"GATEWAY_ADMIN_TOKEN": token},
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_an_operator_with_the_token_is_told_and_nobody_else(tmp_path: Path) -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    environ = {"GATEWAY_ADMIN_TOKEN": TOKEN}
    async with (
        origin,
        gateway_process(tmp_path, origin, rules_text=RULES, environ=environ) as gateway,
    ):
        first = await explain(gateway, "-H", "Host: hub.test", "--json")
        second = await explain(gateway, "-H", "Host: hub.test")
        stranger = await explain(gateway, token="some-other-token-altogether")

    assert json.loads(first[1])["why"] == "uri-miss"
    assert "found          fresh" in second[1]
    assert "route          pages" in second[1]
    assert (stranger[0], stranger[1]) == (1, "")
    assert "is its GATEWAY_ADMIN_TOKEN the same" in stranger[2]
