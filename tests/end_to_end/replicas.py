"""Several gateways with one Valkey, each with workers of its own, before one origin."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.doubles.client import RawClient, Reply
from tests.doubles.origin import PATIENCE, Heard, ScriptedOrigin, Wire, ok
from tests.doubles.serving import Serving
from tests.end_to_end.real import gateway_process

RULES = """\
version: 1
tiers:
  memory: {size: 32MB}
  local: {size: 32MB}
  redis: {url: "${REDIS_URL:-}"}
routes:
  - name: pages
    match: {path: /*}
    cache: {ttl: 1h, scope: public}
"""


class Versions:
    """What the origin's pages say at present; each answer is in the group ``pages``."""

    def __init__(self) -> None:
        self.now = 1
        self.gate: asyncio.Event | None = None
        """Answers wait for it; None for nothing."""
        self.origin = ScriptedOrigin({f"/{name}": [self._answer] for name in "abcdefgh"})

    async def _answer(self, heard: Heard, wire: Wire) -> None:
        if "POST" in heard.line:
            self.now += 1
            await wire.send(ok(b"", cache_group_invalidation='"pages"'))
            return
        said = self.now
        if self.gate is not None:
            async with asyncio.timeout(PATIENCE):
                await self.gate.wait()
        await wire.send(ok(b"%d" % said, cache_groups='"pages"', etag=f'"{said}"'))

    @property
    def fetches(self) -> int:
        return len([heard for heard in self.origin.heard if heard.line.startswith("GET")])


@asynccontextmanager
async def replicas(
    folder: Path,
    origin: ScriptedOrigin,
    urls: list[str],
    workers: int = 2,
    rules: str = RULES,
) -> AsyncIterator[list[Serving]]:
    """Run a gateway for each of *urls*, the address under which it knows their Valkey."""
    async with AsyncExitStack() as stack:
        running = []
        for number, url in enumerate(urls):
            own = folder / f"replica-{number}"
            own.mkdir(exist_ok=True)
            running.append(
                await stack.enter_async_context(
                    gateway_process(
                        own, origin, workers=workers, rules_text=rules, environ={"REDIS_URL": url}
                    )
                )
            )
        yield running
        for each in running:
            if each.process.returncode is None:
                each.process.terminate()
        for each in running:
            async with asyncio.timeout(PATIENCE):
                await each.process.wait()


async def get(gateway: Serving, target: str = "/a", method: str = "GET") -> Reply:
    """Ask on a connection of its own."""
    client = await RawClient.connect(gateway.listen)
    try:
        if method == "POST":
            return await client.get(target, method, content_length="0")
        return await client.get(target, method)
    finally:
        client.close()


async def filled(gateway: Serving, target: str = "/a") -> None:
    """Ask until every worker, as far as can be seen from outside, has it in memory."""
    async with asyncio.timeout(PATIENCE):
        while {(await get(gateway, target)).word for _ in range(12)} != {"HIT"}:
            pass


async def know_one_another(running: list[Serving]) -> None:
    """Wait until a purge is answered by all of them, at each."""
    async with asyncio.timeout(PATIENCE):
        for gateway in running:
            while True:
                receipt = await purge(gateway, url="/nothing")
                if receipt["applied"] and len(receipt["replicas"]) == len(running) - 1:
                    break


async def purge(gateway: Serving, **what: object) -> dict[str, Any]:
    """Purge, hard unless it says otherwise; return the receipt."""
    host, port = gateway.admin
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{host}:{port}/-/purge", json={"hard": True, **what}) as answer,
    ):
        found: dict[str, Any] = await answer.json()
        # The status says the same to scripts that look at nothing else.
        assert (answer.status == 200) is found["applied"], found
        return found


def family(gateway: Serving) -> list[int]:
    """Return the ids of its supervisor and of its workers."""
    process = psutil.Process(gateway.process.pid)
    return [process.pid, *(each.pid for each in process.children())]


def send(number: signal.Signals, processes: list[int]) -> None:
    for process in processes:
        os.kill(process, number)
