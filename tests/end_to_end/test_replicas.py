"""Several gateways behave as one cache: one fetch, one purge, whatever stands still meanwhile."""

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.doubles.client import RawClient
from tests.doubles.origin import PATIENCE, Heard, Wire, ok
from tests.doubles.serving import Serving
from tests.doubles.serving import get as get_from
from tests.doubles.valkey import Valkey, cluster, slow_path, valkey
from tests.end_to_end.replicas import (
    Versions,
    family,
    filled,
    get,
    know_one_another,
    purge,
    replicas,
    send,
)


@pytest.fixture
def shared() -> Iterator[Valkey]:
    with valkey() as server:
        yield server


async def test_one_fetch_serves_every_worker_of_every_replica(
    tmp_path: Path, shared: Valkey
) -> None:
    pages = Versions()
    pages.gate = asyncio.Event()
    async with pages.origin, replicas(tmp_path, pages.origin, [shared.url] * 3) as running:
        await know_one_another(running)
        asked = [asyncio.create_task(get(running[n % 3])) for n in range(90)]
        await pages.origin.until_heard(1)
        pages.gate.set()
        replies = await asyncio.gather(*asked)

        assert {(reply.status, reply.body) for reply in replies} == {(200, b"1")}
        assert pages.fetches == 1


async def test_what_may_not_be_shared_is_asked_for_by_each_without_standing_in_line(
    tmp_path: Path, shared: Valkey
) -> None:
    pages = Versions()
    pages.origin.on("/a", _private)
    async with pages.origin, replicas(tmp_path, pages.origin, [shared.url] * 2) as running:
        await know_one_another(running)
        began = time.monotonic()
        replies = await asyncio.gather(*(get(running[n % 2]) for n in range(40)))

        assert {reply.body for reply in replies} == {b"mine"}
        assert pages.fetches == 40
        # Each took 50 ms; in line they would take 2 seconds.
        assert time.monotonic() - began < 1.0


async def test_a_purge_at_one_replica_holds_at_all_when_its_receipt_is_there(
    tmp_path: Path, shared: Valkey
) -> None:
    pages = Versions()
    async with pages.origin, replicas(tmp_path, pages.origin, [shared.url] * 3) as running:
        await know_one_another(running)
        for what in ({"url": "/a"}, {"group": "pages"}, {"prefix": "/"}, {"host": "hub.test"}):
            for gateway in running:
                await filled(gateway)
            pages.now += 1
            receipt = await purge(running[0], **what)

            assert receipt["applied"]
            assert len(receipt["replicas"]) == 2
            for gateway in running:
                bodies = {(await get(gateway)).body for _ in range(8)}
                assert bodies == {b"%d" % pages.now}, what


async def test_a_cluster_of_valkeys_carries_purges_and_leases_as_one_does(tmp_path: Path) -> None:
    pages = Versions()
    with cluster() as nodes:
        url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        async with pages.origin, replicas(tmp_path, pages.origin, [url] * 2) as running:
            await know_one_another(running)
            await asyncio.gather(*(get(running[n % 2]) for n in range(40)))
            assert pages.fetches == 1
            pages.now = 2
            receipt = await purge(running[0], url="/a")

            assert len(receipt["replicas"]) == 1
            assert {(await get(running[1])).body for _ in range(8)} == {b"2"}


async def test_who_wrote_through_one_worker_reads_nothing_older_through_any_other(
    tmp_path: Path, shared: Valkey
) -> None:
    pages = Versions()
    async with pages.origin, replicas(tmp_path, pages.origin, [shared.url], workers=3) as running:
        await filled(running[0])
        for _ in range(20):
            await get(running[0], "/a", "POST")
            written = pages.now
            bodies = await asyncio.gather(*(get(running[0]) for _ in range(6)))
            assert min(int(reply.body) for reply in bodies) == written


@pytest.mark.parametrize("who", ["everybody", "the workers", "the supervisor"])
async def test_a_replica_that_stood_still_during_a_purge_never_serves_what_was_purged(
    tmp_path: Path, shared: Valkey, who: str
) -> None:
    pages = Versions()
    async with pages.origin, replicas(tmp_path, pages.origin, [shared.url] * 3) as running:
        await know_one_another(running)
        for round_ in range(3):
            for gateway in running:
                await filled(gateway)
            supervisor, *workers = family(running[2])
            stopped = {
                "everybody": [supervisor, *workers],
                "the workers": workers,
                "the supervisor": [supervisor],
            }[who]
            # These connections are open, and their requests arrive while nobody reads them.
            clients = [await RawClient.connect(running[2].listen) for _ in range(12)]
            for client in clients:
                await client.get("/a")
            send(signal.SIGSTOP, stopped)
            pages.now += 1
            receipt = await purge(running[0], url="/a")
            assert not receipt["applied"]
            for client in clients:
                await client.ask("/a")
            send(signal.SIGCONT, stopped)
            bodies = [(await client.reply()).body for client in clients]
            bodies += [(await get(running[2])).body for _ in range(8)]
            for client in clients:
                client.close()

            assert set(bodies) == {b"%d" % pages.now}, round_


async def test_a_replica_that_was_cut_off_learns_what_it_missed_before_it_is_one_of_them_again(
    tmp_path: Path, shared: Valkey
) -> None:
    pages = Versions()
    async with pages.origin, slow_path(shared.port) as path:
        urls = [shared.url, f"redis://127.0.0.1:{path.port}"]
        async with replicas(tmp_path, pages.origin, urls) as running:
            await know_one_another(running)
            for gateway in running:
                await filled(gateway)
            path.cut()
            await detached(running[1])
            pages.now = 2
            await purge(running[0], url="/a")
            # By itself it answers with what it has: it can't know better.
            assert (await get(running[1])).body == b"1"
            path.mend()

            await know_one_another(running)
            assert {(await get(running[1])).body for _ in range(8)} == {b"2"}


async def test_who_missed_more_than_the_stream_keeps_begins_anew(
    tmp_path: Path, shared: Valkey
) -> None:
    pages = Versions()
    async with pages.origin, slow_path(shared.port) as path:
        urls = [shared.url, f"redis://127.0.0.1:{path.port}"]
        async with replicas(tmp_path, pages.origin, urls) as running:
            await know_one_another(running)
            for gateway in running:
                await filled(gateway)
            path.cut()
            await detached(running[1])
            pages.now = 2
            await purge(running[0], url="/a")
            await purge(running[0], url="/b")
            shared.say("XTRIM", "hub:purges", "MAXLEN", "1")
            path.mend()

            await know_one_another(running)
            assert {(await get(running[1])).body for _ in range(8)} == {b"2"}


async def test_a_gateway_that_was_killed_begins_warm_and_with_nothing_that_was_purged(
    tmp_path: Path, shared: Valkey
) -> None:
    pages = Versions()
    async with pages.origin:
        async with replicas(tmp_path, pages.origin, [shared.url] * 2) as running:
            await know_one_another(running)
            for target in "/a", "/b", "/c":
                await filled(running[0], target)
            pages.now = 2
            await purge(running[0], url="/b")
            await written(running[0])
            send(signal.SIGKILL, family(running[0]))
            await running[0].process.wait()
            # Purged by another while it is down.
            await purge(running[1], url="/c")
        fetched = pages.fetches
        async with replicas(tmp_path, pages.origin, [shared.url]) as running:
            found = [await get(running[0], target) for target in ("/a", "/b", "/c")]

        assert [(reply.word, reply.body) for reply in found] == [
            ("HIT", b"1"),
            ("MISS", b"2"),
            ("MISS", b"2"),
        ]
        assert pages.fetches == fetched + 2


async def test_a_worker_that_dies_while_it_fetches_holds_up_nobody(tmp_path: Path) -> None:
    pages = Versions()
    pages.gate = asyncio.Event()
    async with pages.origin, replicas(tmp_path, pages.origin, [""], workers=2) as running:
        asked = [asyncio.create_task(_or_none(running[0])) for _ in range(12)]
        await pages.origin.until_heard(1)
        await asyncio.sleep(0.1)
        holder = await _who_fetches(running[0])
        send(signal.SIGKILL, [holder])
        began = time.monotonic()
        await pages.origin.until_heard(2)
        pages.gate.set()
        replies = await asyncio.gather(*asked)

        # The other worker's clients; those of the one that died were cut off.
        assert {reply for reply in replies if reply is not None} == {b"1"}
        assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("what", ["is down at the start", "is killed", "hangs", "is emptied"])
async def test_the_site_stays_up_while_valkey(tmp_path: Path, shared: Valkey, what: str) -> None:
    pages = Versions()
    if what == "is down at the start":
        shared.kill()
    async with pages.origin, replicas(tmp_path, pages.origin, [shared.url] * 2) as running:
        for gateway in running:
            await filled(gateway)
        answers: list[tuple[int, bytes, float]] = []
        stop = asyncio.Event()

        async def browse(gateway: Serving) -> None:
            client = await RawClient.connect(gateway.listen)
            number = 0
            while not stop.is_set():
                number += 1
                began = time.monotonic()
                # Hits, and misses with queries that nobody asked for before.
                target = "/a" if number % 4 else f"/b?{id(client)}.{number}"
                reply = await client.get(target)
                answers.append((reply.status, reply.body, time.monotonic() - began))
                await asyncio.sleep(0)
            client.close()

        browsing = [asyncio.create_task(browse(gateway)) for gateway in running * 2]
        await asyncio.sleep(0.3)
        if what == "is killed":
            shared.kill()
        elif what == "hangs":
            shared.hang()
        elif what == "is emptied":
            shared.say("FLUSHALL")
        await asyncio.sleep(1.5)
        if what == "hangs":
            shared.go_on()
        elif what != "is emptied":
            shared.start()
        await asyncio.sleep(0.3)
        stop.set()
        await asyncio.gather(*browsing)

        assert {(status, body) for status, body, _ in answers} == {(200, b"1")}
        assert max(seconds for _, _, seconds in answers) < 1.0
        # Afterwards they are one again.
        await know_one_another(running)


async def detached(gateway: Serving) -> None:
    """Wait until it goes by itself."""
    async with asyncio.timeout(PATIENCE):
        while "gateway_replicas_attached 0.0" not in await metrics(gateway):
            pass


async def metrics(gateway: Serving) -> str:
    return (await get_from(gateway.admin, "/metrics")).body


async def written(gateway: Serving) -> None:
    """Wait until what was stored lies in the local tier."""
    async with asyncio.timeout(PATIENCE):
        while 'gateway_tier_objects{tier="local"} 3.0' not in await metrics(gateway):
            pass


async def _or_none(gateway: Serving) -> bytes | None:
    try:
        return (await get(gateway)).body
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def _who_fetches(gateway: Serving) -> int:
    """Return the process that has a connection to the origin."""
    for process in family(gateway)[1:]:
        for connection in psutil.Process(process).net_connections("tcp"):
            if connection.status == "ESTABLISHED" and connection.laddr.port != gateway.listen[1]:
                return process
    raise AssertionError("nobody fetches")


async def _private(heard: Heard, wire: Wire) -> None:
    await asyncio.sleep(0.05)
    await wire.send(ok(b"mine", cache_control="private"))
