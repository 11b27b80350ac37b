"""The hub's connections to PostgreSQL.

A pool of a few connections, reused; a request that gets none in time is told so
rather than left hanging.  Broken connections are replaced as they are found, so that a
restarted database needs no restarted hub: reads that met the restart are tried once more.
"""

import asyncio
import contextlib
import logging
import re
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeAlias, TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from upstream.chores import end
from upstream.errors import ApiError, StartFailed, unavailable
from upstream.monitoring.statistics import Durations
from upstream.queries import PING, Query
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
_HEALTH_LIMIT = 2.0
_TELL_INTERVAL = 10.0

_log = logging.getLogger("hub.pool")


Heard: TypeAlias = Callable[[str, float, BaseException | None], None]
"""Told of each query: its text, its seconds, and why it failed if it did."""


class _Connection(asyncpg.Connection):
    """A connection that notices when the other side has silently gone, and tells of queries.

    asyncpg's own query loggers are called in another turn of the event loop, which costs a
    query of a millisecond six percent; measured by bench/monitoring.py.
    """

    __slots__ = ("heard",)

    _transport: asyncio.Transport
    heard: Heard | None

    async def fetch(  # type: ignore[override]
        self, query: str, *args: Any, **options: Any
    ) -> list[asyncpg.Record]:
        """Return all rows."""
        return await self._timed(query, super().fetch(query, *args, **options))

    async def fetchrow(  # type: ignore[override]
        self, query: str, *args: Any, **options: Any
    ) -> asyncpg.Record | None:
        """Return the first row."""
        return await self._timed(query, super().fetchrow(query, *args, **options))

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """Return one value of the first row."""
        return await self._timed(query, super().fetchval(query, *args, **options))

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """Run one statement, or several that have no values."""
        return await self._timed(query, super().execute(query, *args, **options))

    async def executemany(self, command: str, args: Any, **options: Any) -> None:
        """Run a statement once for each set of values."""
        await self._timed(command, super().executemany(command, args, **options))

    async def _timed(self, query: str, work: Awaitable[T]) -> T:
        heard = getattr(self, "heard", None)
        if heard is None:
            return await work
        began = time.perf_counter()
        try:
            result = await work
        except BaseException as error:
            heard(query, time.perf_counter() - began, error)
            raise
        heard(query, time.perf_counter() - began, None)
        return result

    def keep_alive(self, silence: int) -> None:
        """Let TCP ask after *silence* seconds whether the server is still there."""
        sock = self._transport.get_extra_info("socket")
        if sock is None or sock.family == socket.AF_UNIX:
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
            if option := getattr(socket, name, None):  # absent on some systems
                sock.setsockopt(socket.IPPROTO_TCP, option, silence)


@dataclass(frozen=True, slots=True)
class Figures:
    """A pool at one instant."""

    max_connections: int
    min_connections: int
    total: int
    """Open connections."""
    idle: int
    waiting: int
    """Requests that wait for one."""
    acquires: int
    """Times that one was lent, since the start."""
    errors: Mapping[str, int]
    """Requests that got none or lost theirs, by reason."""

    @property
    def in_use(self) -> int:
        """Connections that are lent."""
        return self.total - self.idle

    @property
    def utilisation(self) -> float:
        """The share of the connections that may be open which is in use, 0 to 1."""
        return self.in_use / self.max_connections


class Pool:
    """Runs named queries on borrowed connections."""

    def __init__(self, pool: asyncpg.Pool, settings: PoolSettings) -> None:
        self._pool = pool
        self._settings = settings
        self._waiting = 0
        self._acquires = 0
        self._errors: Counter[str] = Counter()
        self.acquire_times = Durations()
        """How long requests waited for a connection, those in vain included."""
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls, address: DatabaseAddress, settings: PoolSettings, heard: Heard | None = None
    ) -> Self:
        """Open the smallest number of connections, or raise StartFailed.

        *heard* is told of every query; None tells nobody.
        """

        async def init(connection: asyncpg.Connection) -> None:
            ours = cast("_Connection", connection)
            ours.keep_alive(settings.keepalive)
            ours.heard = heard

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
        opened = cls(pool, settings)
        if settings.tells:
            opened._tasks.append(asyncio.get_running_loop().create_task(opened._tell()))
        return opened

    async def close(self) -> None:
        """Wait for running queries, but not for ever, then close every connection."""
        await end(*self._tasks)
        try:
            await asyncio.wait_for(self._pool.close(), _CLOSE_LIMIT)
        except TimeoutError:
            self._pool.terminate()

    def figures(self) -> Figures:
        """Return the pool's figures as they are now."""
        total, idle = self._pool.get_size(), self._pool.get_idle_size()
        return Figures(
            max_connections=self._settings.max_size,
            min_connections=self._settings.min_size,
            total=total,
            idle=idle,
            waiting=self._waiting,
            acquires=self._acquires,
            errors=dict(self._errors),
        )

    async def health(self) -> dict[str, Any]:
        """Return whether the database answers, and how fast; never later than the bounds.

        The connection is bounded by the acquire timeout, the query by two seconds.
        """
        began = time.perf_counter()
        try:
            async with self.connection() as connection:
                connected = time.perf_counter()
                version = await connection.fetchval(PING.sql, timeout=_HEALTH_LIMIT)
        except ApiError as error:
            return {"ok": False, "code": error.code, "message": error.message}
        ended = time.perf_counter()
        return {
            "ok": True,
            "version": version,
            "connectionMs": round((connected - began) * 1000, 3),
            "queryMs": round((ended - connected) * 1000, 3),
        }

    async def plan(self, sql: str) -> str:
        """Return how PostgreSQL would run *sql*, without running it or knowing its values."""
        async with self.connection() as connection:
            return await explain(connection, sql)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_TELL_INTERVAL)
            now, times = self.figures(), self.acquire_times.in_milliseconds()
            _log.info(
                "pool: %d of %d connections in use, %d idle, %d waiting, %d acquired,"
                " %d errors, acquire avg %.1f ms, p95 %.1f ms",
                now.in_use,
                now.max_connections,
                now.idle,
                now.waiting,
                now.acquires,
                sum(now.errors.values()),
                times["avgMs"],
                times["p95Ms"],
            )

    @property
    def exhausted(self) -> bool:
        """Whether every connection that may be opened is in use."""
        return self._pool.get_idle_size() == 0 and self._pool.get_size() >= self._settings.max_size

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; ApiError 503 when none is free or the database is away."""
        began = time.perf_counter()
        self._waiting += 1
        try:
            connection = await self._pool.acquire(timeout=self._settings.acquire)
        except TimeoutError as error:
            if self.exhausted:
                raise self._failed("busy", "too many requests at once, try again soon") from error
            raise self._away() from error
        except CONNECTION_LOST as error:
            raise self._away() from error
        finally:
            self._waiting -= 1
            self.acquire_times.add(time.perf_counter() - began)
        self._acquires += 1
        try:
            yield connection
        except asyncpg.QueryCanceledError as error:
            raise self._failed("query_timeout", "the database took too long") from error
        except TimeoutError as error:
            raise self._failed("query_timeout", "the database took too long") from error
        except CONNECTION_LOST as error:
            raise self._away() from error
        finally:
            # A broken connection fails to be reset, and the pool drops it for that.
            with contextlib.suppress(*CONNECTION_LOST):
                # shield: who hangs up must not keep the connection from its next user.
                await asyncio.shield(self._pool.release(connection))

    def _failed(self, reason: str, text: str) -> ApiError:
        self._errors[reason] += 1
        return unavailable(reason, text)

    def _away(self) -> ApiError:
        return self._failed("database_unavailable", "the database can't be reached, try again soon")

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


_PARAMETER = re.compile(r"\$(\d+)")


async def explain(connection: Connection, sql: str) -> str:
    """Return the generic plan of *sql*: what it does whatever its values, which aren't needed."""
    count = max((int(number) for number in _PARAMETER.findall(sql)), default=0)
    values = f"({', '.join(['NULL'] * count)})" if count else ""
    # EXPLAIN (GENERIC_PLAN) takes $1 only where nobody expects a value for it, and our driver
    # does; a statement that is prepared by hand has none to send.
    async with connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE hub_explained AS {sql}")
        try:
            rows = await connection.fetch(f"EXPLAIN (VERBOSE) EXECUTE hub_explained{values}")
        finally:
            with contextlib.suppress(asyncpg.PostgresError):
                await connection.execute("DEALLOCATE hub_explained")
    return "\n".join(row[0] for row in rows)


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
