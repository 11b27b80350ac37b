"""`gateway serve` with its real workers: what lasts long, what is large, and its end."""

import asyncio
import json
import signal
from pathlib import Path

import psutil

from tests.doubles.client import RawClient
from tests.doubles.origin import Heard, Wire, ok, response, scripted_origin
from tests.doubles.serving import PATIENCE, Serving
from tests.end_to_end.real import connect, gateway_process, refuses

MEBIBYTE = 1 << 20
LARGE = 64 * MEBIBYTE
FLAT = 16 * MEBIBYTE
"""More than the buffers of one exchange take, much less than a body."""
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def upgraded(gateway: Serving) -> RawClient:
    client = await connect(gateway)
    await client.ask("/ws", connection="Upgrade", upgrade="websocket")
    assert (await client.head()).status == 101
    return client


async def echo(heard: Heard, wire: Wire) -> None:
    await wire.send(SWITCHED)
    while data := await wire.reader.read(65536):
        await wire.send(data.upper())


async def test_a_websocket_carries_bytes_both_ways_and_its_end_reaches_the_origin(
    tmp_path: Path,
) -> None:
    ended = asyncio.Event()

    async def watched(heard: Heard, wire: Wire) -> None:
        await echo(heard, wire)
        ended.set()

    async with scripted_origin(ws=watched) as origin, gateway_process(tmp_path, origin) as gateway:
        client = await upgraded(gateway)
        await client.send(b"\x81\x03one")
        first = await client.reader.readexactly(5)
        await client.send(b"\x81\x03two")
        second = await client.reader.readexactly(5)
        client.reset()
        async with asyncio.timeout(PATIENCE):
            await ended.wait()

    assert (first, second) == (b"\x81\x03ONE", b"\x81\x03TWO")


async def test_a_websocket_that_the_origin_closes_is_closed_for_the_client(tmp_path: Path) -> None:
    async def brief(heard: Heard, wire: Wire) -> None:
        await wire.send(SWITCHED + b"\x88\x00")
        wire.writer.close()

    async with scripted_origin(ws=brief) as origin, gateway_process(tmp_path, origin) as gateway:
        client = await upgraded(gateway)
        rest = await client.at_end()
        client.close()

    assert rest == b"\x88\x00"


async def test_each_event_reaches_its_client_before_the_next_one_is_made(tmp_path: Path) -> None:
    wanted: asyncio.Queue[bytes] = asyncio.Queue()

    async def events(heard: Heard, wire: Wire) -> None:
        await wire.send(CHUNKED)
        while event := await wanted.get():
            await wire.send(b"%x\r\n%b\r\n" % (len(event), event))
        await wire.send(b"0\r\n\r\n")

    async with (
        scripted_origin(events=events) as origin,
        gateway_process(tmp_path, origin) as gateway,
    ):
        client = await connect(gateway)
        await client.ask("/events")
        head = await client.head()
        seen = []
        for event in (b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"):
            wanted.put_nowait(event)
            seen.append(await client.chunk())
        wanted.put_nowait(b"")
        seen.append(await client.chunk())
        client.close()

    assert head.get("content-type") == "text/event-stream"
    assert seen == [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n", b""]


async def test_after_sigterm_a_response_under_way_arrives_whole_and_the_status_is_0(
    tmp_path: Path,
) -> None:
    go_on = asyncio.Event()
    log = tmp_path / "access.log"

    async def slow(heard: Heard, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        await go_on.wait()
        await wire.send(b"-last")

    async with (
        scripted_origin(slow=slow) as origin,
        gateway_process(tmp_path, origin, flags=("--access-log", str(log))) as gateway,
    ):
        client = await connect(gateway)
        await client.ask("/slow")
        await client.head()
        first = await client.reader.readexactly(5)

        gateway.signal(signal.SIGTERM)
        await refuses(gateway.listen)
        go_on.set()
        rest = await client.at_end()
        client.close()
        status = await gateway.ended()
        errors = await gateway.errors()

    assert (first, rest) == (b"first", b"-last")
    assert status == 0
    assert "Traceback" not in errors
    # What ended while draining is logged like everything else.
    (line,) = map(json.loads, log.read_text().splitlines())
    assert (line["target"], line["status"]) == ("/slow", 200)


async def test_after_sigterm_an_upload_under_way_arrives_whole(tmp_path: Path) -> None:
    async with (
        scripted_origin(up=response("201 Created", b"kept")) as origin,
        gateway_process(tmp_path, origin) as gateway,
    ):
        client = await connect(gateway)
        await client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
        await gateway.count_is("gateway_exchanges_running", 1)

        gateway.signal(signal.SIGTERM)
        await refuses(gateway.listen)
        await client.send(b"-last")
        reply = await client.reply()
        rest = await client.at_end()
        client.close()
        status = await gateway.ended()

    assert origin.heard[0].body == b"first-last"
    assert (reply.status, reply.body, reply.get("connection")) == (201, b"kept", "close")
    assert (rest, status) == (b"", 0)


async def test_after_sigterm_idle_connections_are_closed_by_all_workers(tmp_path: Path) -> None:
    async with (
        scripted_origin(a=ok()) as origin,
        gateway_process(tmp_path, origin, workers=2) as gateway,
    ):
        clients = [await connect(gateway) for _ in range(8)]
        replies = [await client.get("/a") for client in clients]

        gateway.signal(signal.SIGTERM)
        rests = [await client.at_end() for client in clients]
        status = await gateway.ended()
        for client in clients:
            client.close()

    assert [reply.status for reply in replies] == [200] * 8
    assert rests == [b""] * 8
    assert status == 0


async def test_after_sigterm_a_websocket_lasts_until_one_side_closes_it(tmp_path: Path) -> None:
    async with scripted_origin(ws=echo) as origin, gateway_process(tmp_path, origin) as gateway:
        client = await upgraded(gateway)

        gateway.signal(signal.SIGTERM)
        await refuses(gateway.listen)
        await client.send(b"still here")
        echoed = await client.reader.readexactly(10)
        client.reset()
        status = await gateway.ended()

    assert (echoed, status) == (b"STILL HERE", 0)


async def test_a_second_signal_breaks_off_what_never_ends(tmp_path: Path) -> None:
    async def endless(heard: Heard, wire: Wire) -> None:
        await wire.send(CHUNKED + b"5\r\nevent\r\n")
        await wire.gone()

    async with (
        scripted_origin(events=endless) as origin,
        gateway_process(tmp_path, origin) as gateway,
    ):
        client = await connect(gateway)
        await client.ask("/events")
        await client.head()
        event = await client.chunk()

        gateway.signal(signal.SIGTERM)
        await refuses(gateway.listen)
        gateway.signal(signal.SIGTERM)
        rest = await client.at_end()
        client.close()
        status = await gateway.ended()

    # No last chunk: the client can tell that this isn't all.
    assert (event, rest) == (b"event", b"")
    assert status == 1


async def test_large_bodies_pass_without_being_held(tmp_path: Path) -> None:
    async def flood(heard: Heard, wire: Wire) -> None:
        await wire.send(
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %d\r\n\r\n" % LARGE
        )
        for _ in range(LARGE // MEBIBYTE):
            await wire.send(bytes(MEBIBYTE))

    async with (
        scripted_origin(down=flood, up=response("201 Created"), small=ok()) as origin,
        gateway_process(tmp_path, origin) as gateway,
    ):
        (worker,) = (await gateway.readiness()).workers
        client = await connect(gateway)
        await client.get("/small")
        before = psutil.Process(worker.pid).memory_info().rss
        await client.ask("/down")
        await client.head()
        received = 0
        peak = before
        while received < LARGE:
            received += len(await client.reader.read(MEBIBYTE))
            peak = max(peak, psutil.Process(worker.pid).memory_info().rss)
        await client.send(b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE)
        for _ in range(LARGE // MEBIBYTE):
            await client.send(bytes(MEBIBYTE))
            peak = max(peak, psutil.Process(worker.pid).memory_info().rss)
        created = await client.reply()
        client.close()

    assert received == LARGE
    assert (created.status, len(origin.heard[-1].body)) == (201, LARGE)
    assert peak - before < FLAT
