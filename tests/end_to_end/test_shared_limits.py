"""Replicas hold a client to one limit together, and each by itself when they can't."""

import asyncio
from pathlib import Path

from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.serving import Serving
from tests.doubles.valkey import valkey
from tests.end_to_end import replicas as together
from tests.end_to_end.real import connect

RULES = """\
version: 1
tiers:
  redis: {url: "${REDIS_URL:-}"}
routes:
  - name: own
    match: {path: /own}
    limit: {requests: 20, per: 1h, shared: false}
    cache: {ttl: 1h, scope: public}
  - name: pages
    match: {path: /*}
    limit: {requests: 20, per: 1h}
    cache: {ttl: 1h, scope: public}
"""


async def passed(gateway: Serving, times: int, target: str = "/a") -> int:
    """Return how many of so many requests weren't refused, a little apart as people send them."""
    found = 0
    for _ in range(times):
        client = await connect(gateway)
        found += (await client.get(target)).status == 200
        client.close()
        await asyncio.sleep(0.02)
    return found


async def test_what_one_replica_let_pass_counts_at_the_others(tmp_path: Path) -> None:
    origin = ScriptedOrigin({"*": [ok(b"a")]})
    with valkey() as server:
        async with (
            origin,
            together.replicas(tmp_path, origin, [server.url] * 2, rules=RULES) as running,
        ):
            await together.know_one_another(running)
            assert await passed(running[0], 15) == 15
            # The first one there may pass before anything was heard of the others.
            assert 5 <= await passed(running[1], 15) <= 7
            assert await passed(running[0], 5) <= 1
            assert await passed(running[0], 25, "/own") == 20
            assert await passed(running[1], 25, "/own") == 20


async def test_without_valkey_each_replica_counts_by_itself(tmp_path: Path) -> None:
    origin = ScriptedOrigin({"*": [ok(b"a")]})
    with valkey() as server:
        server.kill()
        async with (
            origin,
            together.replicas(tmp_path, origin, [server.url] * 2, rules=RULES) as running,
        ):
            assert await passed(running[0], 25) == 20
            assert await passed(running[1], 25) == 20
