"""Live updates: what one reader changes, the others of the organization hear."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientResponse, WSMsgType
from aiohttp.test_utils import TestServer

from tests.upstream.world import NEVER, Client
from upstream.app import make_app
from upstream.context import Hub
from upstream.events import CHANNEL, Broadcaster, Event, resync
from upstream.settings import DatabaseAddress, PoolSettings

PATIENCE = 10.0


@asynccontextmanager
async def stream(client: Client) -> AsyncIterator[ClientResponse]:
    async with client.get("/api/events") as reply:
        assert reply.status == 200
        assert await block(reply) == "retry: 2000\n: connected"
        yield reply


async def block(reply: ClientResponse) -> str:
    async with asyncio.timeout(PATIENCE):
        return (await reply.content.readuntil(b"\n\n")).decode().strip()


def parsed(text: str) -> tuple[str, Any]:
    kind, data = text.splitlines()
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_a_change_reaches_the_readers_of_its_organization_only(
    ada: Client, alan: Client
) -> None:
    async with stream(ada) as of_acme, stream(alan) as of_initech:
        assert of_acme.headers["Content-Type"].startswith("text/event-stream")
        assert of_acme.headers["Cache-Control"] == NEVER

        await ada.patch("/api/projects/1", json={"name": "Changed"})
        created = await (
            await alan.post("/api/projects", json={"name": "Heard", "language": "Go"})
        ).json()

        assert parsed(await block(of_acme)) == (
            "project.updated",
            {"orgId": 1, "kind": "project.updated", "subject": "project:1"},
        )
        # The first thing that Initech hears is its own: Acme's change passed it by.
        kind, event = parsed(await block(of_initech))
        assert (kind, event["subject"]) == ("project.created", f"project:{created['id']}")


async def test_a_websocket_hears_the_same(ada: Client) -> None:
    async with ada.ws_connect("/api/ws") as socket:
        await ada.patch("/api/projects/1", json={"name": "Changed again"})

        message = await socket.receive_json(timeout=PATIENCE)

    assert message == {"orgId": 1, "kind": "project.updated", "subject": "project:1"}


async def test_a_change_that_is_rolled_back_is_never_heard(ada: Client) -> None:
    async with stream(ada) as reply:
        taken = await (await ada.get("/api/projects?limit=1")).json()
        refused = await ada.post(
            "/api/projects", json={"name": taken["data"][0]["slug"], "language": "Go"}
        )
        assert refused.status == 409
        await ada.patch("/api/projects/1", json={"name": "The next event"})

        assert parsed(await block(reply))[0] == "project.updated"


async def test_what_is_no_event_is_skipped(ada: Client, sql: asyncpg.Connection) -> None:
    async with stream(ada) as reply:
        await sql.execute("SELECT pg_notify($1, 'nonsense')", CHANNEL)
        await ada.patch("/api/projects/1", json={"name": "After nonsense"})

        assert parsed(await block(reply))[0] == "project.updated"


async def test_a_quiet_stream_shows_signs_of_life(hub: Hub, ada: Client) -> None:
    cookies = {cookie.key: cookie.value for cookie in ada.session.cookie_jar}
    server: TestServer = TestServer(make_app(replace(hub, heartbeat=0.01)))
    client: Client = type(ada)(server, cookies=cookies)
    async with client, stream(client) as reply:
        assert await block(reply) == ": still here"
        assert await block(reply) == ": still here"


@pytest.mark.parametrize("path", ["/api/events", "/api/ws"])
async def test_strangers_hear_nothing(anyone: Client, path: str) -> None:
    reply = await anyone.get(path)

    assert reply.status == 401
    assert reply.headers["Cache-Control"] == NEVER


async def test_the_websockets_path_asks_for_an_upgrade(ada: Client) -> None:
    reply = await ada.get("/api/ws")

    assert reply.status == 426
    assert reply.headers["Upgrade"] == "websocket"


async def test_a_stopping_hub_ends_its_streams(hub: Hub, ada: Client) -> None:
    async with stream(ada) as reply, ada.ws_connect("/api/ws") as socket:
        hub.broadcaster.close()

        assert await reply.content.read() == b""
        assert (await socket.receive(timeout=PATIENCE)).type is WSMsgType.CLOSE


async def test_after_a_lost_connection_readers_are_told_to_read_again(
    ada: Client, sql: asyncpg.Connection
) -> None:
    async with stream(ada) as reply:
        await ada.patch("/api/projects/1", json={"name": "Listening"})
        await block(reply)
        await sql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )

        assert parsed(await block(reply))[0] == "resync"
        await ada.patch("/api/projects/1", json={"name": "Listening again"})
        assert parsed(await block(reply))[0] == "project.updated"


async def test_a_reader_who_is_too_slow_is_told_to_read_again() -> None:
    broadcaster = Broadcaster(DatabaseAddress("nowhere", 1, "x", "x"), PoolSettings())
    with broadcaster.subscribed(7) as subscription:
        for number in range(257):
            broadcaster.publish(Event(7, "project.updated", f"project:{number}"))

        assert await subscription.next(PATIENCE) == resync(7)
        assert await subscription.next(0.0) is None
