"""Live updates: what one reader changes, the others of the organization hear."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientResponse, WSMsgType
from aiohttp.test_utils import TestServer

from tests.upstream.world import NEVER, Client, error_of
from upstream.app import make_app
from upstream.context import Hub
from upstream.events import CHANNEL, Broadcaster, Event, resync
from upstream.settings import DatabaseAddress, PoolSettings

PATIENCE = 10.0


@asynccontextmanager
async def stream(client: Client, **headers: str) -> AsyncIterator[ClientResponse]:
    async with client.get("/api/events", headers=headers) as reply:
        assert reply.status == 200
        assert re.fullmatch(r"retry: 2000\nid: \d+\n: connected", await block(reply))
        yield reply


async def block(reply: ClientResponse) -> str:
    async with asyncio.timeout(PATIENCE):
        return (await reply.content.readuntil(b"\n\n")).decode().strip()


def parsed(text: str) -> tuple[str, Any]:
    """Return the kind and the data; the number is the same in both places."""
    fields = dict(line.split(": ", 1) for line in text.splitlines())
    data = json.loads(fields["data"])
    assert fields.get("id") == (None if data["id"] is None else str(data["id"]))
    return fields["event"], data


async def change(client: Client, name: str) -> None:
    reply = await client.patch("/api/projects/1", json={"name": name})
    assert reply.status == 200, await reply.text()


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

        kind, event = parsed(await block(of_acme))
        assert event.pop("id") > 0
        assert (kind, event) == (
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

    assert message.pop("id") > 0
    assert message == {"orgId": 1, "kind": "project.updated", "subject": "project:1"}


async def test_a_reader_who_was_cut_off_hears_first_what_it_missed_and_nothing_twice(
    ada: Client, alan: Client
) -> None:
    async with stream(ada) as reply:
        await change(ada, "Before the cut")
        last = parsed(await block(reply))[1]["id"]
    await change(ada, "First missed")
    await alan.post("/api/projects", json={"name": "Somebody else's", "language": "Go"})
    await change(ada, "Second missed")

    async with stream(ada, **{"Last-Event-ID": str(last)}) as reply:
        await change(ada, "After the return")

        heard = [parsed(await block(reply))[1] for _ in range(3)]
    assert [event["subject"] for event in heard] == ["project:1"] * 3
    numbers = [event["id"] for event in heard]
    assert last < numbers[0] < numbers[1] < numbers[2]


async def test_a_websocket_is_told_what_it_missed_too(ada: Client) -> None:
    async with ada.ws_connect("/api/ws") as socket:
        await change(ada, "Heard")
        last = (await socket.receive_json(timeout=PATIENCE))["id"]
    await change(ada, "Missed")

    async with ada.ws_connect(f"/api/ws?lastEventId={last}") as socket:
        missed = await socket.receive_json(timeout=PATIENCE)

    assert (missed["kind"], missed["id"] > last) == ("project.updated", True)


async def test_a_reader_who_missed_nothing_hears_nothing_again(ada: Client) -> None:
    async with stream(ada) as reply:
        await change(ada, "The last one")
        last = parsed(await block(reply))[1]["id"]

    async with stream(ada, **{"Last-Event-ID": str(last)}) as reply:
        await change(ada, "A new one")

        assert parsed(await block(reply))[1]["id"] > last


@pytest.mark.parametrize("last", ["1", "999999999999"])
async def test_a_reader_whose_last_event_nobody_remembers_is_told_to_read_again(
    ada: Client, last: str
) -> None:
    async with stream(ada, **{"Last-Event-ID": last}) as reply:
        assert parsed(await block(reply)) == (
            "resync",
            {"orgId": 1, "kind": "resync", "subject": "org:1", "id": None},
        )


async def test_a_reader_who_missed_very_much_is_told_to_read_again(
    ada: Client, sql: asyncpg.Connection
) -> None:
    async with stream(ada) as reply:
        await change(ada, "Before the flood")
        last = parsed(await block(reply))[1]["id"]
    await sql.execute(
        "INSERT INTO audit_logs (org_id, action, severity)"
        " SELECT 1, 'project.updated', 'INFO' FROM generate_series(1, 201)"
    )

    async with stream(ada, **{"Last-Event-ID": str(last)}) as reply:
        assert parsed(await block(reply))[0] == "resync"


@pytest.mark.parametrize(
    ("path", "headers", "field"),
    [
        ("/api/events", {"Last-Event-ID": "x"}, "Last-Event-ID"),
        ("/api/events", {"Last-Event-ID": "9" * 30}, "Last-Event-ID"),
        ("/api/events?lastEventId=-1", {}, "lastEventId"),
        ("/api/ws?lastEventId=x", {}, "lastEventId"),
    ],
)
async def test_a_number_that_cant_be_an_events_is_refused(
    ada: Client, path: str, headers: dict[str, str], field: str
) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    reply = await ada.get(path, headers=headers | (upgrade if "/ws" in path else {}))

    assert reply.status == 400
    assert (await error_of(reply))["field"] == field


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
