"""Workers of one gateway hold a client to one limit together."""

import os
import signal
from pathlib import Path

from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.serving import Serving, accepting_again
from tests.end_to_end.real import connect, gateway_process

RULES = """\
version: 1
routes:
  - name: pages
    match: {path: /*}
    limit: {requests: 20, per: 1h}
    cache: {ttl: 1h, scope: public}
"""


async def passed(gateway: Serving, times: int) -> int:
    """Return how many requests weren't refused, each on a connection of its own."""
    found = 0
    for _ in range(times):
        client = await connect(gateway)
        found += (await client.get("/a")).status == 200
        client.close()
    return found


async def test_a_limit_is_kept_exactly_over_all_workers_and_outlives_them(tmp_path: Path) -> None:
    origin = ScriptedOrigin({"/a": [ok(b"a")]})
    async with origin, gateway_process(tmp_path, origin, workers=3, rules_text=RULES) as gateway:
        assert await passed(gateway, 12) == 12
        os.kill((await gateway.readiness()).workers[0].pid, signal.SIGKILL)
        await gateway.readiness_when(accepting_again(1, workers=3))
        assert await passed(gateway, 30) == 8
