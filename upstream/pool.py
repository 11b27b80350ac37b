"""The hub's connections to PostgreSQL.

A pool of a few connections, reused; a request that gets none in time is told so
rather than left hanging.  Broken connections are replaced as they are found, so that a
restarted database needs no restarted hub: reads that met the restart are tried once more.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeAlias, TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from upstream.errors import StartFailed, unavailable
from upstream.queries import Query
from upstream.settings import DatabaseAddress, PoolSettings

T = TypeVar("T")

Connection: TypeAlias = asyncpg.Connection | PoolConnectionProxy
"""One of our own, or one that was borrowed."""

# What a database that is gone, going or not yet back looks like from here.
CONNECTION_LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that broke in the middle of an exchange
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)

_STATEMENTS_KEPT = 512
_CLOSE_LIMIT = 10.0


class _Connection(asyncpg.Connection):
    """A connection that notices when the other side has silently gone."""

    _transport: asyncio.Transport

    def keep_alive(self, silence: int) -> None:
        """Let TCP ask after *silence* seconds whether the server is still there."""
        sock = self._transport.get_extra_info("socket")
        if sock is None or sock.family == socket.AF_UNIX:
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
            if option := getattr(socket, name, None):  # absent on some systems
                sock.setsockopt(socket.IPPROTO_TCP, option, silence)


class Pool:
    """Runs named queries on borrowed connections."""

    def __init__(self, pool: asyncpg.Pool, settings: PoolSettings) -> None:
        self._pool = pool
        self._settings = settings

    @classmethod
    async def open(cls, address: DatabaseAddress, settings: PoolSettings) -> Self:
        """Open the smallest number of connections, or raise StartFailed."""

        async def init(connection: asyncpg.Connection) -> None:
            cast("_Connection", connection).keep_alive(settings.keepalive)

        try:
            pool = await asyncpg.create_pool(
                host=address.host,
                port=address.port,
                database=address.name,
                user=address.user,
                password=address.password,
                ssl=address.ssl,
                timeout=settings.connect,
                command_timeout=settings.command,
                min_size=settings.min_size,
                max_size=settings.max_size,
                max_inactive_connection_lifetime=settings.idle,
                statement_cache_size=_STATEMENTS_KEPT,
                connection_class=_Connection,
                init=init,
                server_settings={
                    "application_name": "hub",
                    "timezone": "UTC",
                    "statement_timeout": str(int(settings.statement * 1000)),
                    "tcp_keepalives_idle": str(settings.keepalive),
                },
            )
        except (*CONNECTION_LOST, TimeoutError, asyncpg.PostgresError, ValueError) as error:
            raise cannot_connect(address, error) from error
        return cls(pool, settings)

    async def close(self) -> None:
        """Wait for running queries, but not for ever, then close every connection."""
        try:
            await asyncio.wait_for(self._pool.close(), _CLOSE_LIMIT)
        except TimeoutError:
            self._pool.terminate()

    @property
    def exhausted(self) -> bool:
        """Whether every connection that may be opened is in use."""
        return self._pool.get_idle_size() == 0 and self._pool.get_size() >= self._settings.max_size

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; ApiError 503 when none is free or the database is away."""
        try:
            connection = await self._pool.acquire(timeout=self._settings.acquire)
        except TimeoutError as error:
            if self.exhausted:
                raise unavailable("busy", "too many requests at once, try again soon") from error
            raise _away() from error
        except CONNECTION_LOST as error:
            raise _away() from error
        try:
            yield connection
        except asyncpg.QueryCanceledError as error:
            raise unavailable("query_timeout", "the database took too long") from error
        except TimeoutError as error:
            raise unavailable("query_timeout", "the database took too long") from error
        except CONNECTION_LOST as error:
            raise _away() from error
        finally:
            # A broken connection fails to be reset, and the pool drops it for that.
            with contextlib.suppress(*CONNECTION_LOST):
                # shield: who hangs up must not keep the connection from its next user.
                await asyncio.shield(self._pool.release(connection))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction; an exception rolls everything back."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, query: Query, *arguments: Any) -> list[asyncpg.Record]:
        """Return all rows of a query that only reads."""
        return await self._read(lambda connection: connection.fetch(query.sql, *arguments))

    async def fetchrow(self, query: Query, *arguments: Any) -> asyncpg.Record | None:
        """Return the first row of a query that only reads; None when there is none."""
        return await self._read(lambda connection: connection.fetchrow(query.sql, *arguments))

    async def fetchval(self, query: Query, *arguments: Any) -> Any:
        """Return the first column of the first row; None when there is none."""
        return await self._read(lambda connection: connection.fetchval(query.sql, *arguments))

    async def _read(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        async with self.connection() as connection:
            try:
                return await ask(connection)
            except TimeoutError:  # an OSError too, but trying again would double the wait
                raise
            except CONNECTION_LOST:
                # The database went away under this one connection.  Only once more, on
                # another: if that is broken too, the database is down.
                pass
        async with self.connection() as connection:
            return await ask(connection)


async def connect(address: DatabaseAddress, settings: PoolSettings) -> asyncpg.Connection:
    """Return a connection outside the pool, without time limits; or raise StartFailed."""
    try:
        return await asyncpg.connect(
            host=address.host,
            port=address.port,
            database=address.name,
            user=address.user,
            password=address.password,
            ssl=address.ssl,
            timeout=settings.connect,
            server_settings={"application_name": "hub", "timezone": "UTC"},
        )
    except (*CONNECTION_LOST, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        raise cannot_connect(address, error) from error


def cannot_connect(address: DatabaseAddress, error: Exception) -> StartFailed:
    """Return what the person who starts the hub is told, without the password."""
    reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
    return StartFailed(
        f"cannot reach PostgreSQL at {address}: {reason};"
        " check DATABASE_URL or DATABASE_*, or unset them to use the embedded server"
    )


def _away() -> Exception:
    return unavailable("database_unavailable", "the database can't be reached, try again soon")
