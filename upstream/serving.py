"""A hub from its start to its end.

Things are opened in the order in which they need one another and closed in the reverse
order, however the run ends.
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg
import uvloop
from aiohttp import web

from upstream import queries
from upstream.app import make_app
from upstream.assets import Assets
from upstream.chores import end, meanwhile
from upstream.context import Hub
from upstream.embedded import EmbeddedPostgres
from upstream.errors import ApiError, StartFailed
from upstream.events import Broadcaster
from upstream.migrate import prepare, shipped_migrations
from upstream.monitoring.datadog import Datadog
from upstream.monitoring.monitor import Monitor, Thresholds
from upstream.org_token import TokenSigner, private_secret
from upstream.pages import make_templates
from upstream.pool import Pool, connect
from upstream.queries_of_people import SESSIONS_EXPIRED
from upstream.seed import seed_sql
from upstream.settings import DatabaseAddress, Settings

HEARTBEAT = 15.0
SHUTDOWN_LIMIT = 10.0
"""Seconds that running requests get to finish."""

_BACKLOG = 1024
_CHORES_INTERVAL = 600.0
_COUNT_UP_TO = 1_000_000
_WATCH_INTERVAL = 0.5
_KEYS_INTERVAL = 60.0

_log = logging.getLogger("hub")


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; raises StartFailed when that can't begin."""
    with _bound_socket(settings) as listener, _owned_state_dir(settings.state_dir):
        if settings.database is not None:
            uvloop.run(_serve(settings, listener, settings.database, None))
            return
        # Around the loop: whatever happens inside it, the server is stopped.
        with _unwound_by_sigterm(), EmbeddedPostgres(settings.state_dir / "postgres") as postgres:
            try:
                _tell_address(settings.state_dir / "database.url", postgres.address)
                uvloop.run(_serve(settings, listener, postgres.address, postgres))
            finally:
                (settings.state_dir / "database.url").unlink(missing_ok=True)
                # An impatient second Ctrl-C must not leave the server behind.
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)


def _tell_address(file: Path, address: DatabaseAddress) -> None:
    """Write down where the server of our own is, for a gateway that listens to its changes."""
    host = quote(address.host, safe="")
    file.write_text(f"postgresql://{address.user}@/{address.name}?host={host}&port={address.port}")


@asynccontextmanager
async def open_hub(settings: Settings, address: DatabaseAddress) -> AsyncIterator[Hub]:
    """Bring the database at *address* up to date and lend the parts of a hub on it."""
    connection = await connect(address, settings.pool)
    try:
        seed = seed_sql() if settings.seed else None
        await prepare(connection, shipped_migrations(), seed=seed)
    except (asyncpg.PostgresError, OSError) as error:
        raise StartFailed(f"preparing the database {address}: {error}") from error
    finally:
        await connection.close()
    signer = TokenSigner(settings.state_dir, time.time())
    assets = Assets()
    broadcaster = Broadcaster(address, settings.pool)
    watched = settings.monitoring
    datadog = None if watched.datadog is None else Datadog(*watched.datadog)
    thresholds = Thresholds(watched.warning, watched.slow, watched.summary, watched.every_query)
    monitor = Monitor(thresholds, () if datadog is None else (datadog,))
    pool = await Pool.open(address, settings.pool, monitor.heard)
    monitor.plans_by(pool.plan)
    loop = asyncio.get_running_loop()
    chores = [loop.create_task(monitor.summarise()), loop.create_task(_drop_expired(pool))]
    try:
        async with broadcaster.listening(), _keys_kept_fresh(signer):
            yield Hub(
                pool=pool,
                monitor=monitor,
                internal_networks=watched.internal_networks,
                signer=signer,
                broadcaster=broadcaster,
                assets=assets,
                templates=make_templates(assets),
                stripe_secret=settings.stripe_secret
                or private_secret(
                    settings.state_dir / "stripe_webhook_secret",
                    lambda: f"whsec_{secrets.token_urlsafe(32)}",
                ),
                clock=time.time,
                heartbeat=HEARTBEAT,
            )
    finally:
        await end(*chores)
        await asyncio.gather(monitor.close(), return_exceptions=True)
        await pool.close()
        if datadog is not None:
            datadog.close()


@asynccontextmanager
async def _keys_kept_fresh(signer: TokenSigner) -> AsyncIterator[None]:
    """Look after the keys of the organization token until left."""

    async def keep_fresh() -> None:
        while True:
            await asyncio.sleep(_KEYS_INTERVAL)
            try:
                await asyncio.to_thread(signer.keep_fresh, time.time())
            except StartFailed as error:  # the keys at hand go on signing
                _log.error("%s", error)

    async with meanwhile(keep_fresh()):
        yield


async def _drop_expired(pool: Pool) -> None:
    """Forget sessions that ran out long ago, a few at a time."""
    while True:
        await asyncio.sleep(_CHORES_INTERVAL)
        with contextlib.suppress(ApiError):
            async with pool.connection() as connection:
                await connection.execute(SESSIONS_EXPIRED.sql)


async def _serve(
    settings: Settings,
    listener: socket.socket,
    address: DatabaseAddress,
    postgres: EmbeddedPostgres | None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with open_hub(settings, address) as hub:
        runner = web.AppRunner(
            make_app(hub), access_log=None, shutdown_timeout=SHUTDOWN_LIMIT, keepalive_timeout=75.0
        )
        await runner.setup()
        try:
            try:
                await web.SockSite(runner, listener, backlog=_BACKLOG).start()
            except OSError as error:
                raise _cannot_listen(settings, error) from error
            await _announce(hub, listener, embedded=postgres is not None)
            async with _watched(postgres):
                await stop.wait()
        finally:
            await runner.cleanup()


async def _announce(hub: Hub, listener: socket.socket, *, embedded: bool) -> None:
    rows = await hub.pool.fetchval(queries.ESTIMATED_ROWS)
    about = "about " if rows > _COUNT_UP_TO else ""
    if not about:
        rows = await hub.pool.fetchval(queries.COUNT_ROWS)
    version = await hub.pool.fetchval(queries.PING)
    host, port = listener.getsockname()[:2]
    where = f"[{host}]" if ":" in host else host
    kind = "embedded PostgreSQL" if embedded else "PostgreSQL"
    print(  # noqa: T201 - the one line that whoever started us waits for
        f"hub: ready on http://{where}:{port} ({about}{rows:,} rows, {kind} {version})", flush=True
    )


@asynccontextmanager
async def _watched(postgres: EmbeddedPostgres | None) -> AsyncIterator[None]:
    """Start the embedded server again should it ever die while we live."""
    if postgres is None:
        yield
        return
    async with meanwhile(_keep_running(postgres)):
        yield


async def _keep_running(postgres: EmbeddedPostgres) -> None:
    while True:
        await asyncio.sleep(_WATCH_INTERVAL)
        if postgres.running:
            continue
        _log.error("the embedded PostgreSQL has ended, starting it again")
        try:
            # On this thread, though it blocks: the kernel takes the thread for the parent,
            # and without its database the loop has nothing better to do.
            postgres.start()
        except StartFailed as error:
            _log.error("%s", error)


@contextmanager
def _bound_socket(settings: Settings) -> Iterator[socket.socket]:
    """Take the address before anything slow begins; nobody can connect until we listen."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        try:
            # Without this a restart would have to wait for old connections to be forgotten;
            # the price is that a second listener is noticed only by listening itself.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((settings.host, settings.port))
        except OSError as error:
            raise _cannot_listen(settings, error) from error
        yield listener


def _cannot_listen(settings: Settings, error: OSError) -> StartFailed:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return StartFailed(
            f"cannot listen on {where}: the port is already in use;"
            " stop what uses it, or choose another with --listen HOST:PORT"
        )
    return StartFailed(
        f"cannot listen on {where}: {error.strerror or error};"
        " choose another address with --listen HOST:PORT"
    )


@contextmanager
def _owned_state_dir(folder: Path) -> Iterator[None]:
    """Keep a second hub from the same state, and with it from our database's files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "hub.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartFailed(f"--state-dir: cannot use {folder}: {error}") from error
    try:
        # Freed by the kernel when we end, however that happens.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StartFailed(
            f"--state-dir: another hub is using {folder};"
            " stop it, or choose another with --state-dir DIR"
        ) from None
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def _unwound_by_sigterm() -> Iterator[None]:
    """Until the loop handles signals, let SIGTERM unwind the stack as Ctrl-C does."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    yield
