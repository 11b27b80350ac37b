"""A data plane that caches nothing, for tests of the processes around it.

Speaks just enough HTTP/1.1: one request a connection. ``/`` answers with the process id;
``/held`` sends half of its body at once and the rest when it is told to drain;
``/never`` sends half and never the rest; ``/crash`` ends the process.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress

from gateway.control.access_log import AccessLogFile
from gateway.control.channel import Settings, Variant
from gateway.control.shared import SharedMemory
from gateway.counters import Counters, Reading
from gateway.edge.insight import Key, Looked
from gateway.edge.interfaces import NOTHING, LogEntry
from gateway.errors import ConfigurationError
from gateway.storage.purges import Purge


def an_entry(target: bytes = b"/", *, agent: bytes = b"") -> LogEntry:
    client, host = "192.0.2.7", b"hub.test"
    labels = ("pages", "HIT", "hub", "")
    return (
        1_700_000_000.25,
        client,
        b"GET",
        target,
        host,
        1,
        200,
        10,
        0.001,
        *labels,
        agent,
        b"",
        NOTHING,
    )


class SmallPlane:
    def __init__(self, counters: Counters, access_log: AccessLogFile | None) -> None:
        self._counters = counters
        self._access_log = access_log
        self._draining = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self.rules: bytes | None = None
        self.purged: list[Purge] = []

    async def start(self, listening: socket.socket) -> None:
        self._server = await asyncio.start_server(self._accept, sock=listening)

    async def reload(self, settings: Settings) -> None:
        if settings.rules_text is not None and settings.rules_text.startswith(b"refused"):
            raise ConfigurationError("a worker refuses these rules")
        self.rules = settings.rules_text

    def purge(self, purges: list[Purge], place: int, at: float | None) -> None:
        self.purged += purges

    def stored(self, key: bytes) -> list[Variant]:
        return [Variant(200, len(key), 1.0, 59.0, False, "pages", [], {})]

    def remember(self, purged: list[tuple[Purge, float]]) -> None:
        self.purged += [purge for purge, _ in purged]

    def looked(self, most: int) -> Looked:
        return Looked([Key("hub.test/", "pages", hits=most)])

    def share(self, shared: SharedMemory, place: int, counts: list[int]) -> None:
        for descriptor in shared.descriptors:
            os.close(descriptor)

    def announce_to(self, tell: Callable[[list[Purge]], None]) -> None:
        self._tell = tell

    def report_to(self, tell: Callable[[list[tuple[str, bytes, int]]], None]) -> None:
        pass

    async def drain(self, limit: float) -> None:
        assert self._server is not None
        self._server.close()
        self._draining.set()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=limit)
            for task in late:
                task.cancel()

    def reading(self) -> Reading:
        self._counters.exchanges_running = len(self._running)
        return self._counters.reading()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._exchange(reader, writer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split(b" ", 2)[1]
            self._count(target, len(head))
            if target == b"/crash":
                os._exit(3)
            if target == b"/rules":
                rules = self.rules or b""
                writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n")
                writer.write(b"content-length: %d\r\n\r\n%b" % (len(rules), rules))
                await writer.drain()
                writer.close()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 10\r\n\r\n")
            writer.write(b"%5d" % (os.getpid() % 100_000))
            if target in {b"/held", b"/never"}:
                await self._draining.wait()
            if target == b"/never":
                await asyncio.get_running_loop().create_future()
            writer.write(b"-done")
            await writer.drain()
        writer.close()

    def _count(self, target: bytes, head_bytes: int) -> None:
        counters = self._counters
        counters.connections_accepted += 1
        counters.received_bytes += head_bytes
        counters.requests["pages", "HIT", 2] += 1
        counters.body_bytes["pages", "HIT", 2] += 10
        counters.refused[400] += 1
        counters.origin_failures["hub"]["origin-unreachable"] += 1
        counters.origin_latency["hub"].observe(0.004)
        if self._access_log is not None:
            self._access_log.write(an_entry(target))
