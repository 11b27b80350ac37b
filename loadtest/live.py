"""Real-time updates: server-sent events and WebSockets.

k9 has WebSockets but, as k6, no client for server-sent events: its requests end when the
body does. So events are read from a plain socket here, in the loop that k9 runs visits in.
"""

import asyncio
import time
from urllib.parse import urlsplit

import k9

from loadtest.asking import Client, Person

_PATIENCE = 10.0
"""Seconds until the beginning of a stream has come."""


async def listen_to_events(client: Client, who: Person, seconds: float) -> None:
    """Read /api/events for *seconds*."""
    begun = time.perf_counter()
    heard = -1
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await _open_stream(client, who)
        _connected(client, begun, "sse")
        heard = await _count_events(reader, seconds)
        writer.transport.abort()
    except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
        heard = -1
    _ended(client, heard, "sse")


async def _open_stream(
    client: Client, who: Person
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the stream after its first comment; ConnectionError when it isn't one."""
    parts = urlsplit(client.base)
    secure = parts.scheme == "https"
    host = parts.hostname or "127.0.0.1"
    reader, writer = await asyncio.open_connection(
        host, parts.port or (443 if secure else 80), ssl=secure or None
    )
    try:
        lines = [
            "GET /api/events HTTP/1.1",
            f"Host: {parts.netloc}",
            "Accept: text/event-stream",
            f"Cookie: {who['cookie']}",
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0] or b"text/event-stream" not in head:
            raise ConnectionError("no stream of events")
        await reader.readuntil(b"\n\n")
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


async def _count_events(reader: asyncio.StreamReader, seconds: float) -> int:
    """Return how many events came; EOFError when the stream ends before its time."""
    heard = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                line = await reader.readline()
                if not line:
                    raise EOFError
                heard += line.startswith(b"event:")
    except TimeoutError:
        return heard


async def listen_to_socket(client: Client, who: Person, seconds: float) -> None:
    """Hear what /api/ws says for *seconds*."""
    begun = time.perf_counter()
    heard = -1
    url = "ws" + client.base.removeprefix("http") + "/api/ws"
    try:
        async with k9.ws.connect(
            url, headers={"Cookie": who["cookie"]}, name="/api/ws", timeout=_PATIENCE
        ) as socket:
            _connected(client, begun, "ws")
            heard = await _count_messages(socket, seconds)
    except (k9.ws.WebSocketError, k9.ws.ConnectionClosed):
        heard = -1
    _ended(client, heard, "ws")


async def _count_messages(socket: k9.ws.WebSocket, seconds: float) -> int:
    heard = 0
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        try:
            await socket.recv(timeout=left)
        except TimeoutError:
            break
        heard += 1
    return heard


def _connected(client: Client, begun: float, kind: str) -> None:
    took = (time.perf_counter() - begun) * 1000
    client.metrics.trend("realtime_connect_time", took, {"kind": kind})


def _ended(client: Client, heard: int, kind: str) -> None:
    """Count a visit; *heard* is -1 when it failed."""
    k9.check(heard, {"stayed connected": heard >= 0})
    client.metrics.rate("error_rate", happened=heard < 0, tags={"endpoint": f"/api/{kind}"})
    if heard > 0:
        client.metrics.count("realtime_messages", heard)
