"""Live updates: server-sent events and a WebSocket, both with signs of life."""

import asyncio
import contextlib
from http import HTTPStatus

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from upstream import caching
from upstream.context import HUB
from upstream.errors import ApiError
from upstream.events import Event, Subscription
from upstream.identity import require_identity

_RECONNECT_AFTER_MS = 2000


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
    with hub.broadcaster.subscribed(identity.org_id) as subscription:
        await response.prepare(request)
        await response.write(f"retry: {_RECONNECT_AFTER_MS}\n: connected\n\n".encode())
        while not subscription.closed:
            event = await subscription.next(hub.heartbeat)
            if event is not None:
                await response.write(_as_sse(event))
            elif not subscription.closed:
                await response.write(b": still here\n\n")
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
    with hub.broadcaster.subscribed(identity.org_id) as subscription:
        await socket.prepare(request)
        sending = asyncio.create_task(_send_events(socket, subscription, hub.heartbeat))
        try:
            async for message in socket:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await sending
    return socket


async def _send_events(
    socket: web.WebSocketResponse, subscription: Subscription, patience: float
) -> None:
    while not subscription.closed:
        if event := await subscription.next(patience):
            await socket.send_str(msgspec.json.encode(event).decode())
    await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the hub is stopping")


def _as_sse(event: Event) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event.kind.encode(), msgspec.json.encode(event))
