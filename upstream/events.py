"""What changes right now: from PostgreSQL's NOTIFY to every reader of the organization.

One connection listens for all readers of this process.  A reader that is too slow loses
events rather than making the hub hold them for ever, and a broken connection may lose some
too; in both cases the reader is told by a `resync` event to read its lists again.

A reader who was cut off comes back with the number of the last event it saw, and is given
what followed from the audit log, where every event is recorded (see ``handlers/audit.py``).
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from upstream import queries
from upstream.chores import meanwhile
from upstream.errors import StartFailed
from upstream.pool import CONNECTION_LOST, Connection, Pool, connect
from upstream.queries_of_writes import EVENT_AT, EVENTS_AFTER, EVENTS_NEWEST
from upstream.settings import DatabaseAddress, PoolSettings

CHANNEL = "hub_events"

_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_WAITING = 256
_MOST_REPEATED = 200
"""A reader who missed more is told to read its lists again instead."""
_RETRY_AFTER = 0.5
_LIVENESS_CHECK = 10.0

_log = logging.getLogger("hub.events")


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """Something that happened in an organization."""

    org_id: int
    kind: str
    """Such as ``project.updated``; ``resync`` when others may have been missed."""
    subject: str
    """What it happened to, such as ``project:7``."""
    id: int | None = None
    """Rises within an organization; None for `resync`, which isn't recorded anywhere."""


class Subscription:
    """One reader's queue of events."""

    def __init__(self, org_id: int) -> None:
        self.org_id = org_id
        self._waiting: deque[Event] = deque()
        self._changed = asyncio.Event()
        self.closed = False

    def offer(self, event: Event) -> None:
        """Queue *event*, or replace everything by one `resync` when the reader is too slow."""
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.clear()
            event = resync(self.org_id)
        self._waiting.append(event)
        self._changed.set()

    def close(self) -> None:
        """End the reader's iteration."""
        self.closed = True
        self._changed.set()

    async def next(self, patience: float) -> Event | None:
        """Return the next event; None after *patience* seconds without one, or once closed."""
        if not self._waiting and not self.closed:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), patience)
        return self._waiting.popleft() if self._waiting else None


class Broadcaster:
    """Passes every notification on to the readers of its organization."""

    def __init__(self, address: DatabaseAddress, settings: PoolSettings) -> None:
        """Listen at *address*, once `listening` is entered."""
        self._address = address
        self._settings = settings
        self._readers: dict[int, set[Subscription]] = {}
        self._closing = False

    @contextmanager
    def subscribed(self, org_id: int) -> Iterator[Subscription]:
        """Lend a subscription to what happens in *org_id*."""
        subscription = Subscription(org_id)
        self._readers.setdefault(org_id, set()).add(subscription)
        if self._closing:
            subscription.close()
        try:
            yield subscription
        finally:
            readers = self._readers[org_id]
            readers.discard(subscription)
            if not readers:
                del self._readers[org_id]

    def publish(self, event: Event) -> None:
        """Hand *event* to its readers in this process."""
        for subscription in tuple(self._readers.get(event.org_id, ())):
            subscription.offer(event)

    def close(self) -> None:
        """End all subscriptions, so that their connections can finish."""
        self._closing = True
        for readers in self._readers.values():
            for subscription in readers:
                subscription.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen in the background until left."""
        async with meanwhile(self._listen_for_ever()):
            yield

    async def _listen_for_ever(self) -> None:
        first = True
        while True:
            try:
                connection = await connect(self._address, self._settings)
            except StartFailed:
                await asyncio.sleep(_RETRY_AFTER)
                continue
            try:
                await self._listen(connection, missed=not first)
            except (*CONNECTION_LOST, asyncpg.PostgresError) as error:
                _log.warning("listening for events was interrupted: %s", error)
            finally:
                connection.terminate()
            first = False
            await asyncio.sleep(_RETRY_AFTER)

    async def _listen(self, connection: asyncpg.Connection, *, missed: bool) -> None:
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        await connection.add_listener(CHANNEL, self._heard)
        if missed:
            for org_id in tuple(self._readers):
                self.publish(resync(org_id))
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _LIVENESS_CHECK)
                return
            await connection.execute("SELECT 1", timeout=self._settings.connect)

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        try:
            event = msgspec.json.decode(str(payload), type=Event)
        except msgspec.DecodeError:
            _log.warning("not an event of the hub: %.200s", payload)
            return
        self.publish(event)


async def newest(pool: Pool, org_id: int) -> int:
    """Return the number of the newest event of *org_id*; 0 before the first."""
    return await pool.fetchval(EVENTS_NEWEST, org_id) or 0


async def missed_since(pool: Pool, org_id: int, last: int) -> list[Event]:
    """Return what followed event *last*, oldest first; 0 was before the first of all.

    A single `resync` when *last* isn't an event of this organization, or too much followed.
    """
    if last == await newest(pool, org_id):
        return []
    happened = await pool.fetchval(EVENT_AT, org_id, last) if last else _BEFORE_ALL
    if happened is None:
        return [resync(org_id)]
    rows = await pool.fetch(EVENTS_AFTER, org_id, last, happened, _MOST_REPEATED + 1)
    if len(rows) > _MOST_REPEATED:
        return [resync(org_id)]
    missed = [Event(org_id, row["action"], row["target"], row["id"]) for row in rows]
    return sorted(missed, key=lambda event: event.id or 0)


def resync(org_id: int) -> Event:
    """Return the event that asks a reader to read its lists again."""
    return Event(org_id, "resync", f"org:{org_id}")


async def notify(connection: Connection, event: Event) -> None:
    """Send *event* when the transaction on *connection* commits."""
    await connection.execute(queries.NOTIFY.sql, CHANNEL, msgspec.json.encode(event).decode())
