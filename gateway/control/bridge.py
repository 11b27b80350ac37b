"""Purges from the database: what rows that changed made wrong, whoever changed them.

The hub's triggers write the groups of answers that a transaction made wrong to a table, in that
transaction, and NOTIFY when it commits (upstream/migrations/0005). One connection listens,
and reads from where it last was: by transactions that were still running then, so that one
which began early and committed late is not missed. A connection that was lost costs time and
no purge; a table that was trimmed too far costs everything that is stored a validation.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import asyncpg

from gateway.control.log import told as in_words
from gateway.control.purge_book import PurgeBook
from gateway.resilience.backoff import Backoff
from gateway.storage.purges import Kind, Mode, Purge

_log = logging.getLogger(__name__)

_CHANNEL = "cache_invalidations"
_POLL_SECONDS = 1.0
"""Without a NOTIFY: it also shows whether anybody is there."""
_GATHERED_SECONDS = 0.005
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 5.0
_MOST_GROUPS = 2000
_PAUSES = Backoff(first=0.1, longest=5.0)

# One statement, and so one snapshot for all of it.
_NEW = """
SELECT s.xmin, t.txid AS trimmed, i.id, i.txid, i.groups,
       extract(epoch FROM clock_timestamp() - i.created_at)::float8 AS age
  FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin) AS s
 CROSS JOIN cache_invalidations_trimmed AS t
  LEFT JOIN cache_invalidations AS i ON i.txid >= $1
"""


class Bridge:
    """One gateway's ear at the database."""

    def __init__(
        self, url: str, book: PurgeBook, apply: Callable[[list[Purge], float], None]
    ) -> None:
        """Read at *url*; *apply* gets purges of what was asked for before then (epoch seconds)."""
        self._url = url
        self._book = book
        self._apply = apply
        parts = urlsplit(url)
        self.place = f"{parts.hostname or 'a socket'}{parts.path}"
        self._source = f"postgres {self.place}"
        self._seen: dict[int, int] = {}
        """Notes that were read already, and their transactions: not older than the cursor."""
        self._called = asyncio.Event()
        self._complaint = ""
        self.connected = False
        self.applied = 0
        """Groups purged."""
        self.reconnects = 0
        self.lag = 0.0
        """Seconds from the last note to its purge."""

    async def run(self) -> None:
        """Listen and apply, until cancelled."""
        failures = 0
        while True:
            try:
                connection = await asyncpg.connect(
                    self._url,
                    timeout=_CONNECT_SECONDS,
                    command_timeout=_ANSWER_SECONDS,
                    server_settings={"application_name": "gateway: purges"},
                )
                try:
                    await self._follow(connection)
                finally:
                    with contextlib.suppress(asyncpg.PostgresError, OSError, TimeoutError):
                        await connection.close(timeout=1.0)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                failures = 1 if self.connected else failures + 1
                self._lost(error)
            await asyncio.sleep(_PAUSES.pause(failures + 1, random.random()))  # noqa: S311

    async def _follow(self, connection: asyncpg.Connection) -> None:
        """Read what is new whenever there is something; raises what the connection raises."""
        self._called.clear()
        connection.add_termination_listener(lambda _: self._called.set())
        # Listening first: what commits from now on is either told or read.
        await connection.add_listener(_CHANNEL, lambda *_: self._called.set())
        while True:
            self._called.clear()
            await self._read(connection)
            if not self.connected:
                self.connected = True
                self._complaint = ""
                _log.info("purges of the database at %s come in", self.place)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._called.wait()
                    # What many write at once is one purge, and each costs every worker a word.
                    await asyncio.sleep(_GATHERED_SECONDS)

    async def _read(self, connection: asyncpg.Connection) -> None:
        """Apply what was noted since the last time."""
        cursor = int(self._book.cursors.get(self._source, "0"))
        rows = await connection.fetch(_NEW, cursor)
        if not rows:
            raise asyncpg.InterfaceError("the table cache_invalidations_trimmed has lost its row")
        xmin, trimmed = rows[0]["xmin"], rows[0]["trimmed"]
        groups: dict[str, None] = {}
        for row in rows:
            if row["id"] is None or row["id"] in self._seen:
                continue
            self._seen[row["id"]] = row["txid"]
            groups.update(dict.fromkeys(row["groups"]))
            self.lag = max(0.0, row["age"])
        now = time.time()
        if trimmed and cursor <= trimmed:
            _log.warning(
                "the database's notes were trimmed before they were read: all that is stored is"
                " validated before its next use"
            )
            self._apply([Purge(Kind.ALL, mode=Mode.VALIDATE)], now)
        elif cursor > xmin:
            _log.warning(
                "the database at %s is another than before, or was put back: all that is stored"
                " is validated before its next use",
                self.place,
            )
            self._apply([Purge(Kind.ALL, mode=Mode.VALIDATE)], now)
        elif "*" in groups or len(groups) > _MOST_GROUPS:
            self._apply([Purge(Kind.ALL, mode=Mode.VALIDATE)], now)
        elif groups:
            self._apply(
                [Purge(Kind.GROUP, group.encode(), mode=Mode.VALIDATE) for group in groups], now
            )
        self.applied += len(groups)
        self._book.set_cursor(self._source, str(xmin))
        self._seen = {number: txid for number, txid in self._seen.items() if txid >= xmin}

    def _lost(self, error: Exception) -> None:
        if self.connected:
            self.reconnects += 1
        self.connected = False
        if isinstance(error, asyncpg.UndefinedTableError):
            complaint = "it has no table cache_invalidations: migrate the hub's database"
        else:
            complaint = in_words(error)
        if complaint != self._complaint:
            self._complaint = complaint
            _log.warning("purges of the database at %s don't come in: %s", self.place, complaint)
