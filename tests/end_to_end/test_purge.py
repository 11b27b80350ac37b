"""`gateway purge` against a gateway with several workers, as an operator uses it."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok
from tests.doubles.serving import PATIENCE, Serving, accepting_again
from tests.end_to_end.real import connect, gateway_process

RULES = """\
version: 1
routes:
  - name: pages
    match: {path: /*}
    cache: {ttl: 1h, scope: public}
"""


def counting() -> ScriptedOrigin:
    async def numbered(heard: Heard, wire: Wire) -> None:
        changed = '"posts"' if "POST" in heard.line else ""
        number = b"%d" % len(origin.heard)
        await wire.send(ok(number, cache_tag="posts", cache_group_invalidation=changed))

    origin = ScriptedOrigin({"/a": [numbered], "/b": [numbered]})
    return origin


async def purge(gateway: Serving, *flags: str) -> tuple[int, str, str]:
    """Run the command; return its status, output and errors."""
    host, port = gateway.admin
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "purge", "--admin", f"http://{host}:{port}", *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def ask(gateway: Serving, times: int) -> list[tuple[str | None, int]]:
    """Return words and bodies of requests on connections of their own: they reach all workers."""
    found = []
    for _ in range(times):
        client = await connect(gateway)
        reply = await client.get("/a")
        found.append((reply.word, int(reply.body)))
        client.close()
    return found


async def filled(gateway: Serving) -> None:
    """Ask until every worker has it: one that hasn't answers MISS."""
    async with asyncio.timeout(PATIENCE):
        while {word for word, _ in await ask(gateway, 12)} != {"HIT"}:
            pass


async def test_a_purge_reaches_every_worker_and_says_so(tmp_path: Path) -> None:
    origin = counting()
    async with origin, gateway_process(tmp_path, origin, workers=3, rules_text=RULES) as gateway:
        await filled(gateway)
        before = len(origin.heard)
        status, out, _ = await purge(gateway, "--group", "posts", "--hard", "--wait", "--json")
        receipt = json.loads(out)
        after = await ask(gateway, 40)

        assert status == 0
        assert receipt["applied"] is True
        assert [each["name"] for each in receipt["workers"]] == ["worker 1", "worker 2", "worker 3"]
        assert min(body for _, body in after) > before


async def test_a_write_through_one_worker_is_seen_by_all(tmp_path: Path) -> None:
    origin = counting()
    async with origin, gateway_process(tmp_path, origin, workers=2, rules_text=RULES) as gateway:
        await filled(gateway)
        client = await connect(gateway)
        latest = int((await client.get("/b", "POST", content_length="0")).body)
        client.close()
        async with asyncio.timeout(PATIENCE):
            while min(body for _, body in await ask(gateway, 12)) < latest:
                pass


async def test_a_worker_that_takes_anothers_place_begins_after_a_purge(tmp_path: Path) -> None:
    origin = counting()
    async with origin, gateway_process(tmp_path, origin, workers=2, rules_text=RULES) as gateway:
        assert (await purge(gateway, "--all", "--confirm", "all", "--wait"))[0] == 0
        for worker in (await gateway.readiness()).workers:
            os.kill(worker.pid, signal.SIGKILL)
        await gateway.readiness_when(accepting_again(2))

        status, out, _ = await purge(gateway, "--url", "/a", "--wait")
        assert (status, "purged (soft)" in out) == (0, True)


async def test_what_cannot_be_purged_is_told_and_why(tmp_path: Path) -> None:
    origin = counting()
    async with origin, gateway_process(tmp_path, origin, rules_text=RULES) as gateway:
        nothing = await purge(gateway)
        unconfirmed = await purge(gateway, "--all")
        crooked = await purge(gateway, "--url", "blog")

    assert [nothing[0], unconfirmed[0], crooked[0]] == [1, 1, 1]
    assert "name one of" in nothing[2]
    assert '"confirm": "all"' in unconfirmed[2]
    assert "neither a path" in crooked[2]
    gone = await purge(gateway, "--url", "/")
    assert gone[0] == 1
    assert "no gateway answers" in gone[2]
