"""What hits feel while Valkey fails: `python -m bench.outages`.

A steady stream of requests, most of them hits and some for what nobody asked for before, sent by
the clock through two gateways with one Valkey, that is killed, hangs, is slow, full or emptied.
Each line stands beside the same seconds with a Valkey that is well.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.doubles.client import RawClient
from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.serving import Serving
from tests.doubles.valkey import SlowPath, Valkey, slow_path, valkey
from tests.end_to_end.replicas import get, know_one_another, replicas

_RATE = 500
"""Requests a second."""
_CLIENTS = 32
_MISSES = 10
"""One request of so many is a miss."""


@dataclass(slots=True)
class Felt:
    hits: list[float] = field(default_factory=list)
    misses: list[float] = field(default_factory=list)
    failures: int = 0


async def stream(gateways: list[Serving], seconds: float, felt: Felt) -> None:
    """Send requests by the clock: one that is late delays no other."""
    clients = [await RawClient.connect(gateways[n % 2].listen) for n in range(_CLIENTS)]
    free = asyncio.Queue[RawClient]()
    for client in clients:
        free.put_nowait(client)
    began = time.perf_counter()
    mark = f"{began:.6f}"

    async def one(number: int, due: float) -> None:
        client = await free.get()
        miss = number % _MISSES == 0
        try:
            reply = await client.get(f"/b?{mark}.{number}" if miss else "/a")
            felt.failures += reply.status != 200
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            felt.failures += 1
        (felt.misses if miss else felt.hits).append(time.perf_counter() - due)
        free.put_nowait(client)

    tasks = []
    for number in range(int(seconds * _RATE)):
        due = began + number / _RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    for client in clients:
        client.close()


def at(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)] * 1000


async def run(seconds: float) -> None:
    origin = ScriptedOrigin({"*": [ok(b"x" * 1000)]})
    print("valkey       | hits p99 ms | well, p99 ms | ratio | misses p99 ms | failures")

    async def case(
        name: str,
        gateways: list[Serving],
        fail: Callable[[], Awaitable[None] | None],
        mend: Callable[[], None],
    ) -> None:
        well, ill = Felt(), Felt()
        await stream(gateways, seconds, well)
        busy = asyncio.create_task(stream(gateways, seconds, ill))
        await asyncio.sleep(seconds / 4)
        waited = fail()
        if waited is not None:
            await waited
        await busy
        mend()
        await know_one_another(gateways)
        p99, before = at(ill.hits, 0.99), at(well.hits, 0.99)
        print(
            f"{name:<12} | {p99:>11.2f} | {before:>12.2f} | {p99 / before:>5.2f} |"
            f" {at(ill.misses, 0.99):>13.1f} | {ill.failures + well.failures:>8}",
            flush=True,
        )

    with TemporaryDirectory() as folder, valkey("--maxmemory", "64mb") as server:
        async with (
            slow_path(server.port) as path,
            origin,
            replicas(Path(folder), origin, [f"redis://127.0.0.1:{path.port}"] * 2) as gateways,
        ):
            await know_one_another(gateways)
            for gateway in gateways:
                for _ in range(12):
                    await get(gateway)
            await case("killed", gateways, server.kill, server.start)
            await case("hangs", gateways, server.hang, server.go_on)
            await case("slow", gateways, *_slow(path))
            await case("full", gateways, *_full(server))
            await case("emptied", gateways, lambda: _said(server, "FLUSHALL"), _nothing)


def _said(server: Valkey, *words: str) -> None:
    server.say(*words)


def _nothing() -> None:
    """Mend nothing: it is well."""


def _slow(path: SlowPath) -> tuple[Callable[[], None], Callable[[], None]]:
    def fail() -> None:
        path.delay = 0.2

    def mend() -> None:
        path.delay = 0.0

    return fail, mend


def _full(server: Valkey) -> tuple[Callable[[], None], Callable[[], None]]:
    return (
        lambda: _said(server, "CONFIG", "SET", "maxmemory", "1mb"),
        lambda: _said(server, "CONFIG", "SET", "maxmemory", "64mb"),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0)
    asyncio.run(run(parser.parse_args().seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
