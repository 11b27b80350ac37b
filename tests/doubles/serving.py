"""`gateway serve` as a process of its own, with small worker processes behind it."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

PATIENCE = 20.0
"""Seconds until a test gives up; nothing waits for it to pass."""

ANY_PORTS = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")


class Worker(msgspec.Struct):
    name: str
    state: str
    restarts: int
    pid: int = 0


class Readiness(msgspec.Struct):
    ready: bool
    stage: str
    workers: list[Worker]
    restarts: int


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    head: str
    body: str


@dataclass(slots=True)
class Serving:
    """A running `gateway serve`."""

    process: asyncio.subprocess.Process
    ready_line: str
    listen: tuple[str, int]
    admin: tuple[str, int]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()

    async def get(self, target: str) -> Answer:
        return await get(self.listen, target)

    async def readiness(self) -> Readiness:
        return msgspec.json.decode((await get(self.admin, "/readyz")).body, type=Readiness)

    async def readiness_when(self, wanted: Callable[[Readiness], bool]) -> Readiness:
        """Return the first readiness that *wanted* accepts."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if wanted(seen := await self.readiness()):
                    return seen
                await asyncio.sleep(0.02)

    async def count_is(self, sample: str, value: float) -> None:
        """Wait until a line of /metrics says *value*."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if await self.count(sample) == value:
                    return
                await asyncio.sleep(0.02)

    async def count(self, sample: str) -> float:
        """Return the value of one line of /metrics."""
        page = (await get(self.admin, "/metrics")).body
        found = re.search(rf"^{re.escape(sample)} (.+)$", page, re.MULTILINE)
        assert found is not None, f"no {sample} in {page}"
        return float(found.group(1))


def accepting_again(restarts: int, *, workers: int = 2) -> Callable[[Readiness], bool]:
    """Accept a readiness with so many *restarts* behind it and *workers* at work."""

    def condition(seen: Readiness) -> bool:
        accepting = [worker for worker in seen.workers if worker.state == "accepting"]
        return seen.restarts >= restarts and len(accepting) == workers

    return condition


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does and can't announce."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


async def get(address: tuple[str, int], target: str, *, host: str | None = None) -> Answer:
    reader, writer = await asyncio.open_connection(*address)
    name = host or f"{address[0]}:{address[1]}"
    writer.write(f"GET {target} HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return Answer(int(head.split()[1]) if head else 0, head, body)


async def start(
    *flags: str,
    module: str = "tests.doubles.serve_main",
    environ: dict[str, str] | None = None,
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *flags,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=os.environ | (environ or {}),
    )


@asynccontextmanager
async def serving(folder: Path, *flags: str) -> AsyncIterator[Serving]:
    """Run `gateway serve` with two workers on free ports; nothing of it is left after."""
    rules = folder / "rules.yaml"
    rules.write_text("version: 1\n")
    process = await start(
        *("--rules", str(rules), "--state-dir", str(folder / "state"), "--workers", "2"),
        *ANY_PORTS,
        *flags,
    )
    assert process.stdout is not None
    workers: list[psutil.Process] = []
    try:
        async with asyncio.timeout(PATIENCE):
            line = (await process.stdout.readline()).decode().rstrip()
        ports = re.findall(r"http://127\.0\.0\.1:(\d+)", line)
        assert len(ports) == 2, line
        workers = psutil.Process(process.pid).children()
        yield Serving(process, line, ("127.0.0.1", int(ports[0])), ("127.0.0.1", int(ports[1])))
    finally:
        if process.returncode is None:
            workers += psutil.Process(process.pid).children()
            process.kill()
        for worker in workers:
            if worker.is_running():
                worker.kill()
        await process.communicate()
