"""A storm: clients and an origin that do everything wrong at once, and nothing is left behind.

What is asked and answered follows from a seed; when it happens doesn't, and needn't.
"""

import asyncio
import random
import time

import pytest

from tests.doubles.client import RawClient
from tests.doubles.origin import PATIENCE, Heard, ScriptedOrigin, Wire
from tests.doubles.world import World, gateway_before

RULES = """
version: 1
identity: {user: {cookie: s}}
limits: {head_timeout: 300ms, idle_timeout: 500ms, send_timeout: 500ms}
tiers: {memory: {size: 300KB, max_object: 64KB}}
origins:
  hub:
    servers: ["http://127.0.0.1:1"]
    timeouts: {connect: 300ms, first_byte: 300ms, between_bytes: 300ms}
    connections: {max: 8, waiting: 50}
routes:
  - {name: off, match: {path: /off/*}, cache: off}
  - name: mine
    match: {path: /mine/*}
    cache: {ttl: 1s, scope: user, stale_while_revalidate: 2s}
  - name: rest
    match: {path: /*}
    cache:
      scope: public
      stale_if_error: {for: 5s, after: 100ms}
      early_refresh: true
      jitter: 20%
      whole_for_range: true
"""
CLIENTS = 30
SECONDS = 3.0
PATHS = ("/a", "/b", "/c", "/off/a", "/mine/a")
FIELDS = (
    "Cookie: s=1",
    "Cookie: s=2",
    "Range: bytes=2-900",
    "Range: bytes=-3",
    'If-None-Match: "1"',
    "X-A: 1",
    "Cache-Control: no-cache",
    "Cache-Control: only-if-cached",
    "Cache-Control: max-stale=5",
    "Connection: close",
    "Connection: Upgrade\r\nUpgrade: websocket",
    "TE: trailers",
)


class Storm:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    async def answer(self, heard: Heard, wire: Wire) -> None:
        """Do what an origin might, and what it never should."""
        chance = self.chance
        told = chance.choice(["max-age=1", "no-store", "private", "max-age=5, stale-if-error=9"])
        more = chance.choice(["", 'ETag: "1"\r\n', "Vary: X-A\r\n", "Vary: *\r\n"])
        head = f"HTTP/1.1 200 OK\r\nCache-Control: {told}\r\n{more}".encode()
        body = b"x" * chance.choice([0, 1, 1000, 20_000, 100_000])
        sized = head + b"Content-Length: %d\r\n\r\n" % len(body)
        if heard.line.startswith("HEAD"):
            await wire.send(sized)
            return
        whole = sized + body
        match chance.randrange(10):
            case 0 | 1 | 2 | 3:
                await wire.send(whole)
            case 4:
                await wire.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
                for _ in range(chance.randrange(5)):
                    await wire.send(b"3e8\r\n" + b"y" * 1000 + b"\r\n")
                    await asyncio.sleep(chance.random() * 0.02)
                await wire.send(b"0\r\nX-Sum: 1\r\n\r\n")
            case 5:
                await wire.send(whole[: chance.randrange(1, len(whole) + 1)])
                wire.reset()
            case 6:
                await wire.send(b"HTTP/1.1 304 Not Modified\r\n" + more.encode() + b"\r\n")
            case 7:
                await wire.send(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno")
            case 8:
                await wire.send(b"HTTP/1.1 103 Hints\r\n\r\n" + whole)
            case _:
                await wire.send(chance.randbytes(40))
                wire.writer.close()

    def request(self) -> bytes:
        """Return a request, one in twenty with a byte that is wrong."""
        chance = self.chance
        method = chance.choice(["GET"] * 8 + ["HEAD", "POST", "DELETE"])
        fields = ["Host: hub.test", *chance.sample(FIELDS, chance.choice([0, 0, 1, 2]))]
        body = b""
        if method == "POST":
            body = b"z" * chance.randrange(3000)
            fields.append(f"Content-Length: {len(body)}")
        first = f"{method} {chance.choice(PATHS)} HTTP/1.{int(chance.random() < 0.95)}"
        raw = "\r\n".join([first, *fields, "", ""]).encode() + body
        if chance.random() < 0.05:
            at = chance.randrange(len(raw))
            raw = raw[:at] + chance.randbytes(1) + raw[at + 1 :]
        return raw

    async def client(self, world: World, end: float) -> None:
        """Ask, several at once now and then, and leave in every manner there is."""
        chance = self.chance
        while time.monotonic() < end:
            client = await RawClient.connect(world.address)
            try:
                for _ in range(chance.randrange(1, 10)):
                    await client.send(
                        b"".join(self.request() for _ in range(chance.choice([1, 3])))
                    )
                    if chance.random() < 0.8:
                        async with asyncio.timeout(chance.choice([0.01, 0.05, 0.2])):
                            await client.reader.read(200_000)
            except (TimeoutError, ConnectionError):
                pass
            if chance.random() < 0.5:
                client.close()
            else:
                client.reset()


def busy(world: World) -> bool:
    """Return whether anything is under way."""
    site = world.gateway.site
    fetches = world.gateway._refreshes.fetches._by_key
    return bool(site.connections or world.counters.exchanges_running or fetches or site.background)


@pytest.mark.parametrize("seed", [1, 2])
async def test_after_a_storm_nothing_is_left_behind(seed: int) -> None:
    storm = Storm(seed)
    failures: list[object] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        # What becomes of the storm's own connections is no matter.
        if "client_connected_cb" not in str(context.get("message")):
            failures.append(context.get("exception") or context)

    asyncio.get_running_loop().set_exception_handler(note)
    origin = ScriptedOrigin({path: [storm.answer] for path in PATHS})
    async with origin, gateway_before(origin, RULES) as world:
        site = world.gateway.site
        site.clock = time.time
        end = time.monotonic() + SECONDS
        await asyncio.gather(*(storm.client(world, end) for _ in range(CLIENTS)))
        async with asyncio.timeout(PATIENCE):
            (member,) = site.pools["hub"]._members
            pool = member.pool
            # A connection that is being opened for who has left becomes an idle one.
            while busy(world) or pool._open != len(pool._idle):  # noqa: ASYNC110 - plain counters
                await asyncio.sleep(0.02)

        assert failures == []
        assert world.counters.connections_open == 0
        assert pool._open == len(pool._idle) == world.counters.origin_connections_open
        assert site.memory.bytes <= 300 * 1024
        world.gateway.reading()
        assert sum(world.counters.requests.values()) > 200
        assert world.counters.requests["rest", "HIT", 2] > 0
