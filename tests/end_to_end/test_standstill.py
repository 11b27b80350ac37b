"""A worker that stood still for longer than its limits allow lets nobody pay for that."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.doubles.client import RawClient
from tests.doubles.origin import Heard, ScriptedOrigin, Wire, ok
from tests.doubles.serving import PATIENCE, Serving
from tests.end_to_end.real import connect, gateway_process

RULES = """\
version: 1
limits: {idle_timeout: 1s, head_timeout: 1s}
origins:
  hub:
    servers: ["SERVER"]
    timeouts: {connect: 1s, first_byte: 1s, between_bytes: 1s, total: 30s}
routes:
  - {name: off, match: {path: /*}, cache: off}
"""
STILL_SECONDS = 1.4


@asynccontextmanager
async def served(folder: Path, origin: ScriptedOrigin) -> AsyncIterator[Serving]:
    rules = RULES.replace("SERVER", origin.url)
    async with gateway_process(folder, origin, rules_text=rules) as gateway:
        yield gateway
        gateway.process.terminate()
        await gateway.ended()


@asynccontextmanager
async def standstill(gateway: Serving) -> AsyncIterator[None]:
    """Let the worker of *gateway* stand still; what is done meanwhile, it hears afterwards."""
    (worker,) = psutil.Process(gateway.process.pid).children()
    begun = time.monotonic()
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.to_thread(_is_stopped, worker)
        yield
        await asyncio.sleep(max(0.0, begun + STILL_SECONDS - time.monotonic()))
    finally:
        os.kill(worker.pid, signal.SIGCONT)


def _is_stopped(worker: psutil.Process) -> None:
    while worker.status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)


async def test_a_request_that_came_meanwhile_is_answered(tmp_path: Path) -> None:
    async with ScriptedOrigin({"*": [ok()]}) as origin, served(tmp_path, origin) as gateway:
        client = await connect(gateway)
        assert (await client.get("/a")).status == 200
        async with standstill(gateway):
            await client.ask("/b")
        assert (await client.reply()).status == 200
        client.close()


async def test_a_head_whose_rest_came_meanwhile_is_no_slow_one(tmp_path: Path) -> None:
    async with ScriptedOrigin({"*": [ok()]}) as origin, served(tmp_path, origin) as gateway:
        client = await connect(gateway)
        await client.send(b"GET /a HTTP/1.1\r\nHost: hub.test\r\n")
        # Answered after what the other has sent, by the same loop: it has been read.
        assert await answered(gateway) == 200
        async with standstill(gateway):
            await client.send(b"\r\n")
        assert (await client.reply()).status == 200
        client.close()


async def answered(gateway: Serving) -> int:
    other = await connect(gateway)
    status = (await other.get("/other")).status
    other.close()
    return status


@pytest.mark.parametrize("sent_before", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"])
async def test_what_the_origin_sent_meanwhile_is_passed_on(
    tmp_path: Path, sent_before: bytes
) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"
    goes_on = asyncio.Event()

    async def slowly(_: Heard, wire: Wire) -> None:
        await wire.send(sent_before)
        async with asyncio.timeout(PATIENCE):
            await goes_on.wait()
        await wire.send(whole[len(sent_before) :])

    origin = ScriptedOrigin({"/a": [slowly], "/other": [ok()]})
    async with origin, served(tmp_path, origin) as gateway:
        client = await connect(gateway)
        await client.ask("/a")
        await origin.until_heard(1)
        assert await answered(gateway) == 200
        async with standstill(gateway):
            goes_on.set()
        reply = await client.reply()
        client.close()

    assert (reply.status, reply.body) == (200, b"abcd")


async def test_who_never_goes_on_is_shown_out_all_the_same(tmp_path: Path) -> None:
    async with ScriptedOrigin({"*": [ok()]}) as origin, served(tmp_path, origin) as gateway:
        client: RawClient = await connect(gateway)
        assert (await client.get("/a")).status == 200
        async with standstill(gateway):
            pass
        async with asyncio.timeout(PATIENCE):
            assert await client.reader.read() == b""
        client.close()
