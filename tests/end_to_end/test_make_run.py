"""What `make run` starts, as a person would use it."""

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.doubles.client import RawClient, Reply
from tests.end_to_end.real import refuses
from tests.upstream.world import directory, survivors

START_LIMIT = 120.0
"""Seconds for a first start on a busy machine; creating the database is most of it."""
LOGIN = json.dumps({"email": "ada@acme.test", "password": "demo-password"}).encode()


@dataclass(slots=True)
class Run:
    process: asyncio.subprocess.Process
    output: str
    gateway: tuple[str, int]
    admin: tuple[str, int]

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    async def get(self, target: str, method: str = "GET", **fields: str) -> Reply:
        client = await RawClient.connect(self.gateway)
        try:
            return await client.get(target, method, **fields)
        finally:
            client.close()

    async def end(self) -> int:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode


def address(output: str, what: str) -> tuple[str, int]:
    found = re.search(rf"^  {what}\s+http://([\d.]+):(\d+)", output, re.MULTILINE)
    assert found is not None, output
    return found[1], int(found[2])


async def start(state: Path, *flags: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "deploy.local", "--state-dir", str(state), *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


ANY_PORTS = (
    *("--gateway-listen", "127.0.0.1:0"),
    *("--gateway-admin", "127.0.0.1:0"),
    *("--hub-listen", "127.0.0.1:0"),
)


@asynccontextmanager
async def running(state: Path) -> AsyncIterator[Run]:
    process = await start(state, *ANY_PORTS)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_LIMIT):
            output = (await process.stdout.readuntil(b"Ctrl-C ends everything")).decode()
        yield Run(process, output, address(output, "gateway"), address(output, "admin"))
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await process.communicate()


async def test_a_person_runs_it_uses_it_ends_it_and_starts_it_again() -> None:
    with directory() as state:
        async with running(state) as run:
            await a_page_comes_from_the_cache(run)
            await an_api_call_is_cached_for_one_organization(run)
            await what_is_never_cached_never_is(run)
            await a_static_file_lives_long(run)
            await a_change_is_heard_while_it_happens(run)
            await the_admin_port_tells(run)
            family = run.family()
            names = {each.name() for each in family}
            status = await run.end()

            assert status == 0
            assert any("postgres" in name for name in names)
            assert survivors(family) == []

        begun = time.monotonic()
        async with running(state) as again:
            took = time.monotonic() - begun
            page = await again.get("/")

            assert page.status == 200
            # Seeding alone takes longer than this when the data are gone.
            assert took < 15


async def test_a_second_ctrl_c_waits_for_no_stream_and_spoils_nothing() -> None:
    with directory() as state:
        async with running(state) as run:
            stream = await RawClient.connect(run.gateway)
            cookies = await logged_in(stream)
            await stream.ask("/api/events", cookie=cookies)
            await stream.head()
            family = run.family()
            run.process.send_signal(signal.SIGINT)
            # The gateway drains now, and would wait for the stream for half a minute.
            await refuses(run.gateway)
            begun = time.monotonic()
            status = await run.end()
            took = time.monotonic() - begun
            stream.close()

            assert status == 0
            assert took < 15
            assert survivors(family) == []

        async with running(state) as again:
            page = await again.get("/")

            assert page.status == 200


async def a_page_comes_from_the_cache(run: Run) -> None:
    first = await run.get("/")
    second = await run.get("/")

    assert (first.status, first.word) == (200, "MISS")
    assert (second.status, second.word) == (200, "HIT")
    assert second.body == first.body
    assert (first.get("content-type") or "").startswith("text/html")
    assert "max-age=3600" in (second.get("cdn-cache-control") or "")


async def logged_in(client: RawClient) -> str:
    """Return the cookies of a demo user."""
    await client.send(
        b"POST /api/auth/login HTTP/1.1\r\nHost: hub.test\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(LOGIN), LOGIN)
    )
    login = await client.reply()
    assert (login.status, login.word) == (200, "BYPASS")
    return "; ".join(
        value.partition(";")[0] for name, value in login.fields if name.lower() == "set-cookie"
    )


async def an_api_call_is_cached_for_one_organization(run: Run) -> None:
    client = await RawClient.connect(run.gateway)
    cookies = await logged_in(client)

    words = [
        (await client.get("/api/trpc/insight.getIssues", cookie=cookies)).word for _ in range(3)
    ]
    stranger = await client.get("/api/trpc/insight.getIssues")
    client.close()

    assert words == ["MISS", "HIT", "HIT"]
    assert (stranger.status, stranger.word) == (401, "BYPASS")


async def what_is_never_cached_never_is(run: Run) -> None:
    replies = [await run.get("/api/health") for _ in range(3)]

    assert [(reply.status, reply.word) for reply in replies] == [(200, "BYPASS")] * 3
    never = "private, no-cache, no-store, must-revalidate"
    assert {reply.get("cache-control") for reply in replies} == {never}


async def a_static_file_lives_long(run: Run) -> None:
    page = await run.get("/")
    found = re.search(rb"/_next/static/[^\"' ]+", page.body)
    assert found is not None
    target = found[0].decode()

    first = await run.get(target)
    second = await run.get(target)

    assert (first.status, first.word, second.word) == (200, "MISS", "HIT")
    assert "max-age=31536000" in (second.get("cache-control") or "")
    assert "immutable" in (second.get("cache-control") or "")


async def a_change_is_heard_while_it_happens(run: Run) -> None:
    writer, events, socket = [await RawClient.connect(run.gateway) for _ in range(3)]
    cookies = await logged_in(writer)
    await events.ask("/api/events", cookie=cookies)
    await socket.ask(
        "/api/ws",
        cookie=cookies,
        connection="Upgrade",
        upgrade="websocket",
        sec_websocket_version="13",
        sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
    )
    stream, switched = await events.head(), await socket.head()
    greeting = await events.chunk()

    change = json.dumps({"name": "Renamed"}).encode()
    await writer.send(
        b"PATCH /api/projects/1 HTTP/1.1\r\nHost: hub.test\r\nContent-Type: application/json\r\n"
        b"Cookie: %b\r\nContent-Length: %d\r\n\r\n%b" % (cookies.encode(), len(change), change)
    )
    changed = await writer.reply()
    event = await events.chunk()
    # A text message in one frame, shorter than 126 bytes (RFC 6455 section 5.2).
    kind, length = await socket.reader.readexactly(2)
    message = await socket.reader.readexactly(length)
    # A mere close would leave two exchanges that Ctrl-C waits for.
    for client in (writer, events, socket):
        client.reset()

    assert (changed.status, changed.word) == (200, "BYPASS")
    assert (stream.status, stream.word, stream.get("content-type")) == (
        200,
        "BYPASS",
        "text/event-stream; charset=utf-8",
    )
    assert b": connected" in greeting
    assert b"\nevent: project.updated\n" in event
    # The answer to that very key in RFC 6455 section 1.3: the handshake passed unchanged.
    accepted = switched.get("sec-websocket-accept")
    assert (switched.status, accepted) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    assert kind == 0x81
    assert json.loads(message)["kind"] == "project.updated"


async def the_admin_port_tells(run: Run) -> None:
    client = await RawClient.connect(run.admin)
    ready = await client.get("/readyz", host="localhost")
    metrics = await client.get("/metrics", host="localhost")
    client.close()

    assert ready.status == 200
    counted = re.search(
        rb'gateway_requests_total\{[^}]*route="marketing"[^}]*\} ([\d.]+)', metrics.body
    )
    assert counted is not None, metrics.body.decode()
    assert float(counted[1]) >= 1


async def test_a_port_in_use_is_told_without_a_traceback() -> None:
    taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    with directory() as state:
        process = await start(state, *ANY_PORTS, "--gateway-listen", f"127.0.0.1:{port}")
        async with asyncio.timeout(START_LIMIT):
            _, errors = await process.communicate()
    taken.close()

    assert process.returncode == 1
    text = errors.decode()
    assert text.startswith(f"run: port {port} for the gateway (127.0.0.1:{port}) cannot be used")
    assert "GATEWAY_LISTEN" in text
    assert "Traceback" not in text


async def test_rules_that_do_not_load_stop_serve_with_their_place() -> None:
    with directory() as state:
        rules = state / "rules.yaml"
        rules.write_text(
            "version: 1\norigins:\n  hub: {servers: ['http://127.0.0.1:1']}\nrouts: []\n"
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve", "--rules", str(rules)),
            *("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state-dir", str(state)),
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(30):
            _, errors = await process.communicate()

    assert process.returncode == 1
    text = errors.decode()
    assert f'{rules}:4:1: error: unknown key "routs"' in text
    assert "routes" in text.partition("routs")[2]
    assert "Traceback" not in text
