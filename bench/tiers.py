"""What tiers, purges and workers cost as they grow: `python -m bench.tiers`.

Memory and purges over the number of objects, in one process; the local tier's look-ups and
writes; a purge over three replicas with two workers each; and hits over one and two
workers, by wrk. Figures of one machine at one time: compare the lines, not the runs.
"""

import argparse
import asyncio
import gc
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from gateway.policy.stored import Filed, StoredResponse
from gateway.storage import codec
from gateway.storage.local import LocalStore, Write, prepare
from gateway.storage.memory import MemoryStore
from gateway.storage.purges import Kind, Mode, Purge, Purges
from tests.doubles.origin import ScriptedOrigin, ok
from tests.doubles.valkey import valkey
from tests.end_to_end.real import gateway_process
from tests.end_to_end.replicas import know_one_another, purge, replicas
from tests.storage.responses import response

_BODY_BYTES = 500
_LOOKUPS = 20_000


def an_object(number: int) -> StoredResponse:
    filed = Filed(b"hub.test", b"/o/%d" % number, "pages", (b"all",))
    return replace(
        response(os.urandom(_BODY_BYTES)), filed=filed, groups=(b"org:%d" % (number % 50),)
    )


def by_objects(counts: list[int]) -> None:
    print("\nobjects in memory | bytes an object | look-up and judge, us | purge of a group, us"
          " | first look after it, us")  # fmt: skip
    for count in counts:
        gc.collect()
        before = psutil.Process().memory_info().rss
        store = MemoryStore(1 << 42, 1 << 30)
        for number in range(count):
            store.keep(b"key %d" % number, (an_object(number),))
        each = (psutil.Process().memory_info().rss - before) / count
        purges = Purges()
        keys = [b"key %d" % (number * 7919 % count) for number in range(_LOOKUPS)]

        _looked(store, purges, keys)
        steady = _looked(store, purges, keys)
        began = time.perf_counter()
        purges.apply(Purge(Kind.GROUP, b"all", mode=Mode.HARD), 1.9e9)
        purged = (time.perf_counter() - began) * 1e6
        after = _looked(store, purges, keys)
        print(f"{count:>17,} | {each:>15,.0f} | {steady:>21.2f} | {purged:>20.1f} | {after:>22.2f}")
        del store
        gc.collect()


def _looked(store: MemoryStore, purges: Purges, keys: list[bytes]) -> float:
    """Return the microseconds of one look-up, judged by the purges where that is due."""
    began = time.perf_counter()
    for key in keys:
        shelf = store.peek(key)
        assert shelf is not None
        if shelf.checked != purges.serial:
            purges.judge(shelf.variants[0])
            shelf.checked = purges.serial
    return (time.perf_counter() - began) / len(keys) * 1e6


def local_tier() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "local"
        prepare(path, 1 << 30)
        store = LocalStore(path, 1 << 30)
        number = 0
        began = time.perf_counter()
        for _ in range(100):
            store.write([Write(b"k%d" % (number + n), (an_object(n),), 4e9) for n in range(200)])
            number += 200
        writes = number / (time.perf_counter() - began)
        began = time.perf_counter()
        for n in range(number):
            store.find(b"k%d" % n, 1.8e9)
        found = (time.perf_counter() - began) / number * 1e6
        began = time.perf_counter()
        for n in range(5000):
            codec.decode(store.find(b"k%d" % n, 1.8e9) or b"", b"k%d" % n)
        decoded = (time.perf_counter() - began) / 5000 * 1e6
        store.close()
    print(f"\nlocal tier: {writes:,.0f} writes/s in batches of 200, {found:.1f} us a look-up,"
          f" {decoded:.1f} us with decoding")  # fmt: skip


async def over_replicas(times: int) -> None:
    origin = ScriptedOrigin({"*": [ok(b"x", max_age=3600)]})
    with TemporaryDirectory() as folder, valkey() as server:
        async with origin, replicas(Path(folder), origin, [server.url] * 3) as running:
            await know_one_another(running)
            took = []
            for number in range(times):
                receipt = await purge(running[number % 3], url=f"/{number}")
                assert receipt["applied"]
                took.append(receipt["ms"])
    took.sort()
    print(
        "\npurge over 3 replicas with 2 workers each, until all have said so: "
        f"p50 {took[len(took) // 2]:.1f} ms, p99 {took[int(len(took) * 0.99)]:.1f} ms, "
        f"longest {took[-1]:.1f} ms"
    )


async def over_workers(seconds: int) -> None:
    rules = (
        "version: 1\ntiers:\n  local: {size: 64MB}\nroutes:\n"
        "  - {name: pages, match: {path: /*}, cache: {ttl: 1h, scope: public}}\n"
    )
    print()
    for workers in (1, 2):
        origin = ScriptedOrigin({"*": [ok(b"x" * 1000)]})
        with TemporaryDirectory() as folder:
            async with (
                origin,
                gateway_process(Path(folder), origin, workers=workers, rules_text=rules) as gateway,
            ):
                host, port = gateway.listen
                said = await asyncio.to_thread(
                    subprocess.run,
                    ["wrk", "-t1", "-c64", f"-d{seconds}s", "--latency", f"http://{host}:{port}/a"],
                    capture_output=True,
                    text=True,
                    check=True,
                )
        words = [line.split() for line in said.stdout.splitlines() if line.strip()]
        found = {each[0]: each[1] for each in words}
        print(
            f"{workers} worker(s): {found.get('Requests/sec:', '?')} hits/s, "
            f"p99 {found.get('99%', '?')} (wrk takes one of the cores)"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", default="1000,10000,100000,1000000")
    parser.add_argument("--purges", type=int, default=300)
    parser.add_argument("--seconds", type=int, default=4)
    asked = parser.parse_args()
    by_objects([int(each) for each in asked.objects.split(",")])
    local_tier()
    asyncio.run(over_replicas(asked.purges))
    asyncio.run(over_workers(asked.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
