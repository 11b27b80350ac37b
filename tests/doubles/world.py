"""A gateway before a scripted origin, in this process, over loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.config.build import load
from gateway.counters import Counters
from gateway.edge.gateway import Gateway
from gateway.edge.interfaces import AccessLog
from tests.doubles.client import RawClient, Reply
from tests.doubles.origin import ScriptedOrigin

NO_ROUTES = "version: 1\n"
"""Obey the origin as a shared cache."""


@dataclass(slots=True)
class Clock:
    """Epoch seconds that pass when they are told to."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class World:
    """One worker's data plane and what is around it."""

    gateway: Gateway
    address: tuple[str, int]
    counters: Counters
    clock: Clock
    clients: list[RawClient] = field(default_factory=list)

    async def connect(self) -> RawClient:
        client = await RawClient.connect(self.address)
        self.clients.append(client)
        return client

    async def get(self, target: str, method: str = "GET", **fields: str) -> Reply:
        """Ask on a connection of its own."""
        client = await self.connect()
        reply = await client.get(target, method, **fields)
        client.close()
        return reply

    def pass_time(self, seconds: float) -> None:
        """Let the wall clock go on, as the gateway notices once a second."""
        self.clock.now += seconds
        self.gateway.site.tick()

    def close_clients(self) -> None:
        for client in self.clients:
            client.close()


@asynccontextmanager
async def gateway_before(
    origin: ScriptedOrigin | str | None,
    rules: str = NO_ROUTES,
    *,
    access_log: AccessLog | None = None,
    files: Callable[[Path], None] | None = None,
) -> AsyncIterator[World]:
    """Start a gateway on *rules* before *origin*; *files* writes what the rules refer to.

    Without *origin* the rules say where requests go.
    """
    url = origin.url if isinstance(origin, ScriptedOrigin) else origin
    counters = Counters()
    clock = Clock()
    with TemporaryDirectory() as directory:
        file = Path(directory) / "rules.yaml"
        file.write_text(rules)
        if files is not None:
            files(Path(directory))
        snapshot = load(file, {}, url)
    gateway = Gateway(snapshot, counters, access_log, clock=clock)
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    host, port = listening.getsockname()[:2]
    await gateway.start(listening)
    world = World(gateway, (host, port), counters, clock)
    try:
        yield world
    finally:
        world.close_clients()
        await gateway.drain(0.0)
        await asyncio.sleep(0)
