"""What content codings cost and save: `python -m bench.compression [URL ...]`.

First the codings by themselves, at the level for misses and the one for what is in demand: on
the bodies that URLs bring, such as those of a running hub, else on a made-up list in the shape of
the hub's. Then hits through a gateway in this process, plain and as br, while nothing else is
encoded and while a body of 5 MB is, over and over: their latency must not double.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from urllib.request import Request, urlopen

import uvloop

from gateway.edge import encoders
from gateway.policy.negotiation import Coding
from tests.doubles.client import RawClient
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok
from tests.doubles.world import World, gateway_before

RULES = """\
version: 1
defaults: {compress: {recompress: off}}
routes:
  - {match: {path: /large}, cache: off}
  - {match: {path: /*}, cache: {ttl: 1h, scope: public}}
"""
_HITS = 20_000
_LEAST_SECONDS = 0.3


def made_up(size: int) -> bytes:
    """Return a list of issues of about *size* bytes; the same each time."""
    chance = random.Random(7)
    words = [
        "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9)))
        for _ in range(600)
    ]
    issues: list[dict[str, object]] = []
    length = 0
    while length < size:
        issue = {
            "id": f"{chance.getrandbits(64):016x}",
            "title": " ".join(chance.choices(words, k=8)),
            "severity": chance.choice(["low", "medium", "high", "critical"]),
            "createdAt": f"2026-11-{chance.randint(1, 28):02d}T{chance.randint(0, 23):02d}:00:00Z",
            "resolved": chance.random() < 0.4,
        }
        issues.append(issue)
        length += len(json.dumps(issue)) + 2
    return json.dumps({"data": issues}).encode()


def bodies(urls: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield what is measured, with a name."""
    for url in urls:
        with urlopen(Request(url, headers={"Accept-Encoding": "identity"}), timeout=10) as found:
            yield url, found.read()
    if not urls:
        yield "list, 20 KB", made_up(20_000)
        yield "list, 60 KB", made_up(60_000)
        yield "list, 300 KB", made_up(300_000)


def codings(urls: list[str]) -> None:
    """Print speed and saving of each coding and level."""
    for name, body in bodies(urls):
        print(f"\n{name}: {len(body)} bytes")
        for coding in Coding:
            for best in (False, True):
                times, encoded, began = 0, b"", time.perf_counter()
                while (spent := time.perf_counter() - began) < _LEAST_SECONDS:
                    encoded = encoders.encode(coding, body, best=best)
                    times += 1
                saved = 100 - 100 * len(encoded) / len(body)
                level = encoders.level(coding, best=best)
                speed = times * len(body) / spent / 1e6
                print(f"  {coding:8} {level:2}  {speed:8.1f} MB/s  {saved:5.1f}% saved")


async def hits(world: World, coding: str) -> tuple[float, float]:
    """Return hits each second and the 99th percentile of their latency in milliseconds."""
    client = await RawClient.connect(world.address)
    for _ in range(3):
        await client.get("/list", accept_encoding=coding)
    head = f"GET /list HTTP/1.1\r\nHost: hub.test\r\nAccept-Encoding: {coding}\r\n\r\n".encode()
    reply = await client.get("/list", accept_encoding=coding)
    length = int(reply.get("content-length") or 0)
    latencies = []
    began = time.perf_counter()
    for _ in range(_HITS):
        asked = time.perf_counter()
        client.writer.write(head)
        await client.reader.readuntil(b"\r\n\r\n")
        await client.reader.readexactly(length)
        latencies.append(time.perf_counter() - asked)
    spent = time.perf_counter() - began
    client.close()
    latencies.sort()
    return _HITS / spent, 1000 * latencies[int(0.99 * _HITS)]


async def delivered() -> None:
    """Print what hits cost, plain and encoded, alone and beside large bodies."""
    large = made_up(5_000_000)

    async def in_one_go(heard: Heard, wire: Wire) -> None:  # noqa: ARG001
        await wire.send(ok(large, content_type="application/json"))

    listed = ok(made_up(20_000), content_type="application/json", etag='"v1"')
    origin = ScriptedOrigin({"/list": [listed], "/large": [in_one_go]})
    print(f"\nhits of 20 KB, one connection, {_HITS} in a row; client and origin share the process")
    async with origin, gateway_before(origin, RULES) as world:
        for coding in ("identity", "br"):
            rate, p99 = await hits(world, coding)
            print(f"  {coding:8} {rate:7.0f} a second, p99 {p99:.3f} ms")
        stop = asyncio.Event()

        async def burden() -> int:
            times = 0
            while not stop.is_set():
                await world.get("/large", accept_encoding="br")
                times += 1
            return times

        running = asyncio.create_task(burden())
        rate, p99 = await hits(world, "br")
        stop.set()
        print(f"  br       {rate:7.0f} a second, p99 {p99:.3f} ms, while 5 MB are encoded, "
              f"{await running} times")  # fmt: skip


if __name__ == "__main__":
    codings(sys.argv[1:])
    uvloop.run(delivered())
