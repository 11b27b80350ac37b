"""Live updates: server-sent events and a WebSocket, both with signs of life.

Whoever was cut off says which event was the last: an event source by Last-Event-ID, as
browsers do by themselves, a WebSocket by ``?lastEventId=``; what followed is sent first.
"""

from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web
from msgspec import Meta

from upstream import caching
from upstream.answers import query_values
from upstream.chores import meanwhile
from upstream.context import HUB, Hub
from upstream.errors import ApiError, bad_input
from upstream.events import Event, Subscription, missed_since, newest
from upstream.identity import require_identity

_RECONNECT_AFTER_MS = 2000


class LiveQuery(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Where a reader left off."""

    last_event_id: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    """The number of the last event it saw; None when it begins."""


async def server_sent_events(request: web.Request) -> web.StreamResponse:
    """Stream the events of the caller's organization until one side leaves."""
    identity = await require_identity(request)
    hub = request.app[HUB]
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": caching.NEVER,
            "X-Accel-Buffering": "no",
        }
    )
    last = _last_seen(request)
    # Subscribed before the log is read: what happens meanwhile is in one of the two, and what
    # is in both is told by its number.
    with hub.broadcaster.subscribed(identity.org_id) as subscription:
        missed, position = await _catch_up(hub, identity.org_id, last)
        await response.prepare(request)
        # An id of its own, without data, is noted by a browser but no event.
        hello = f"retry: {_RECONNECT_AFTER_MS}\nid: {position}\n: connected\n\n"
        await response.write(hello.encode() + b"".join(map(_as_sse, missed)))
        while not subscription.closed:
            event = await subscription.next(hub.heartbeat)
            if event is None:
                if not subscription.closed:
                    await response.write(b": still here\n\n")
            elif not _repeats(event, missed):
                await response.write(_as_sse(event))
    return response


async def websocket(request: web.Request) -> web.StreamResponse:
    """Send the same events as JSON text messages; what the client says is ignored."""
    # A foreign page can't ride on the session: its cookie is SameSite=Lax.
    identity = await require_identity(request)
    hub = request.app[HUB]
    socket = web.WebSocketResponse(heartbeat=hub.heartbeat, max_msg_size=4096)
    if not socket.can_prepare(request):
        raise ApiError(
            HTTPStatus.UPGRADE_REQUIRED,
            "upgrade_required",
            "this path speaks WebSocket only; server-sent events are at /api/events",
            headers={"Upgrade": "websocket", "Connection": "Upgrade"},
        )
    last = _last_seen(request)
    with hub.broadcaster.subscribed(identity.org_id) as subscription:
        missed, _ = await _catch_up(hub, identity.org_id, last)
        await socket.prepare(request)
        async with meanwhile(_send_events(socket, subscription, missed, hub.heartbeat)):
            async for message in socket:
                if message.type is WSMsgType.ERROR:
                    break
    return socket


async def _send_events(
    socket: web.WebSocketResponse,
    subscription: Subscription,
    missed: list[Event],
    patience: float,
) -> None:
    for event in missed:
        await socket.send_str(msgspec.json.encode(event).decode())
    while not subscription.closed:
        event_now = await subscription.next(patience)
        if event_now is not None and not _repeats(event_now, missed):
            await socket.send_str(msgspec.json.encode(event_now).decode())
    await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the hub is stopping")


def _last_seen(request: web.Request) -> int | None:
    """Return the number of the last event that the reader saw; None when it begins."""
    query = query_values(request, LiveQuery)
    if query.last_event_id is not None:
        return query.last_event_id
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise bad_input(f"expected the id of an event, got {text[:40]!r}", "Last-Event-ID")
    return int(text)


async def _catch_up(hub: Hub, org_id: int, last: int | None) -> tuple[list[Event], int]:
    """Return what the reader missed, and the number that the next event will exceed."""
    if last is None:
        return [], await newest(hub.pool, org_id)
    missed = await missed_since(hub.pool, org_id, last)
    if missed and missed[-1].id is None:
        return missed, await newest(hub.pool, org_id)
    return missed, last


def _repeats(event: Event, missed: list[Event]) -> bool:
    """Tell whether *event* was among those that were sent before it."""
    last = missed[-1].id if missed else None
    return event.id is not None and last is not None and event.id <= last


def _as_sse(event: Event) -> bytes:
    number = b"" if event.id is None else b"id: %d\n" % event.id
    return b"%sevent: %s\ndata: %s\n\n" % (
        number,
        event.kind.encode(),
        msgspec.json.encode(event),
    )
