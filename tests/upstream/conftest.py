"""A real PostgreSQL for each test process, and a seeded database of its own for each module."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import asyncpg
import pytest
from aiohttp.test_utils import TestClient

from tests.upstream.world import Client, directory, settings_for
from upstream.app import make_app
from upstream.context import Hub
from upstream.embedded import EmbeddedPostgres
from upstream.migrate import prepare, shipped_migrations
from upstream.pool import connect
from upstream.seed import seed_sql
from upstream.serving import open_hub
from upstream.settings import DatabaseAddress, PoolSettings

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """Lend a running server whose database `hub` is seeded: a template, never connected to."""
    with directory() as folder, EmbeddedPostgres(folder / "data") as server:

        async def fill() -> None:
            connection = await connect(server.address, PoolSettings())
            await prepare(connection, shipped_migrations(), seed=seed_sql())
            await connection.close()

        asyncio.run(fill())
        yield server


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres) -> DatabaseAddress:
    """Return a seeded database that belongs to one module."""
    return make_database(postgres, template="hub")


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> DatabaseAddress:
    """Return a database without a single table."""
    return make_database(postgres, template="template0")


def make_database(postgres: EmbeddedPostgres, template: str) -> DatabaseAddress:
    """Return a new database like *template*."""
    name = f"test_{next(_numbers)}"

    async def create() -> None:
        admin = await connect(replace(postgres.address, name="postgres"), PoolSettings())
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        await admin.close()

    asyncio.run(create())
    return replace(postgres.address, name=name)


@pytest.fixture
async def hub(database: DatabaseAddress, tmp_path: Path) -> AsyncIterator[Hub]:
    """Lend the parts of a hub on the module's database."""
    async with open_hub(settings_for(tmp_path), database) as parts:
        yield parts


@pytest.fixture
async def anyone(hub: Hub, aiohttp_client: Callable[..., Awaitable[Client]]) -> Client:
    """Return a client that nobody has logged in with."""
    return await aiohttp_client(make_app(hub))


@pytest.fixture
async def new_client(hub: Hub, anyone: Client) -> AsyncIterator[Callable[[], Awaitable[Client]]]:
    """Return what makes further clients of the same hub, each with its own cookies."""
    made: list[Client] = []

    async def make() -> Client:
        client = cast("Client", TestClient(anyone.server))
        made.append(client)
        return client

    yield make
    for client in made:
        await client.session.close()


@pytest.fixture
async def ada(new_client: Callable[[], Awaitable[Client]]) -> Client:
    """Return a client logged in as the owner of Acme, who also belongs to Globex."""
    return await logged_in(new_client, "ada@acme.test")


@pytest.fixture
async def alan(new_client: Callable[[], Awaitable[Client]]) -> Client:
    """Return a client logged in as the owner of Initech."""
    return await logged_in(new_client, "alan@initech.test")


async def logged_in(new_client: Callable[[], Awaitable[Client]], email: str) -> Client:
    """Return a new client logged in as *email*."""
    client = await new_client()
    reply = await client.post("/api/auth/login", json={"email": email, "password": "demo-password"})
    assert reply.status == 200, await reply.text()
    return client


@pytest.fixture
async def sql(database: DatabaseAddress) -> AsyncIterator[asyncpg.Connection]:
    """Lend a connection to look behind the hub's back."""
    connection = await connect(database, PoolSettings())
    yield connection
    await connection.close()
