"""`gateway serve` as an operator starts it, with its real workers, before a scripted origin."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from tests.doubles.client import RawClient
from tests.doubles.origin import ScriptedOrigin
from tests.doubles.serving import ANY_PORTS, PATIENCE, Serving, start
from tests.upstream.world import survivors


@asynccontextmanager
async def gateway_process(
    folder: Path,
    origin: ScriptedOrigin,
    *,
    workers: int = 1,
    flags: tuple[str, ...] = (),
    rules_text: str = "version: 1\n",
    environ: dict[str, str] | None = None,
) -> AsyncIterator[Serving]:
    """Run it with *workers* and *environ* on top of ours; nothing of it is left after."""
    rules = folder / "rules.yaml"
    rules.write_text(rules_text)
    process = await start(
        *("serve", "--rules", str(rules), "--state-dir", str(folder / "state")),
        *("--workers", str(workers), "--origin", origin.url, *ANY_PORTS, *flags),
        module="gateway",
        environ=environ,
    )
    assert process.stdout is not None
    family: list[psutil.Process] = []
    try:
        async with asyncio.timeout(PATIENCE):
            line = (await process.stdout.readline()).decode().rstrip()
        ports = re.findall(r"http://127\.0\.0\.1:(\d+)", line)
        assert len(ports) == 2, line
        family = psutil.Process(process.pid).children()
        yield Serving(process, line, ("127.0.0.1", int(ports[0])), ("127.0.0.1", int(ports[1])))
        # Only after an ordinary end: a test that failed half-way may leave it running.
        assert process.returncode is None or survivors(family) == []
    finally:
        if process.returncode is None:
            process.kill()
        for each in family:
            if each.is_running():
                each.kill()
        await process.communicate()


async def connect(gateway: Serving) -> RawClient:
    return await RawClient.connect(gateway.listen)


async def refuses(address: tuple[str, int]) -> None:
    """Wait until nobody listens at *address*: workers close their sockets as they begin to drain.

    What /readyz says comes earlier: the supervisor says so as it tells the workers.
    """
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                probe = await RawClient.connect(address)
            except ConnectionRefusedError:
                return
            probe.close()
            await asyncio.sleep(0.02)
