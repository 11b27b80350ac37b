"""Hears of every query: counts it, and looks closer at the slow ones.

A slow query is logged with the route and the trace that it was for, and its plan is asked
for afterwards: the generic one, for which nothing is run and no value is needed.  So a
write isn't done twice, and what a client sent isn't logged.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from upstream import queries
from upstream.monitoring.fingerprints import OTHER, Statement, statement
from upstream.monitoring.statistics import Durations, QueryStatistics, rate

_log = logging.getLogger("hub.monitoring")

MOST_KINDS = 1000
"""Kinds of queries that are told apart; all others are counted together."""
_PLAN_PAUSE = 60.0
"""Seconds between two plans of one kind."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a query is run for."""

    route: str = ""
    trace: str = ""


_NOBODY = Origin()
origin: ContextVar[Origin] = ContextVar("origin", default=_NOBODY)
"""The request that the present task answers."""
unheard: ContextVar[bool] = ContextVar("unheard", default=False)
"""Whether what the present task asks isn't to be counted: the monitor's own questions."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From when on a query is worth a line in the log. Durations are seconds."""

    warning: float = 0.5
    slow: float = 1.0
    summary: float = 300.0
    """Between two summaries; 0 for none."""
    every_query: bool = False
    """Log each query (``DEBUG_DB_METRICS``)."""


class Exporter(Protocol):
    """Who else is told of each query."""

    def query(self, kind: str, name: str, seconds: float, *, failed: bool) -> None:
        """Take note of one query."""


Plan = Callable[[str], Awaitable[str]]
"""Returns the plan of a statement, without running it."""


class Monitor:
    """The statistics of this process."""

    def __init__(self, thresholds: Thresholds, exporters: tuple[Exporter, ...] = ()) -> None:
        self.thresholds = thresholds
        self._exporters = exporters
        self._kinds: dict[str, QueryStatistics] = {}
        self._rest = QueryStatistics(Statement("", OTHER, "(all other queries)"), None)
        self._plan: Plan | None = None
        self._planned: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.since = time.time()

    def plans_by(self, plan: Plan) -> None:
        """Ask *plan* for the plans of slow queries."""
        self._plan = plan

    def heard(self, sql: str, seconds: float, failure: BaseException | None) -> None:
        """Count one query of who asks now; one that nobody waited for hasn't failed."""
        if not unheard.get():
            failed = failure is not None and not isinstance(failure, asyncio.CancelledError)
            self.count(sql, seconds, failed=failed)

    def count(self, sql: str, seconds: float, *, failed: bool) -> None:
        """Count one query that took *seconds*."""
        about = statement(sql)
        known = self._kinds.get(about.fingerprint)
        if known is None:
            known = self._admit(sql, about)
        known.durations.add(seconds)
        known.errors += failed
        for exporter in self._exporters:
            exporter.query(about.kind, known.name or about.fingerprint, seconds, failed=failed)
        if seconds >= self.thresholds.warning:
            self._slow(sql, known, seconds)
        elif self.thresholds.every_query:
            _log.info("query %s: %.1f ms", known.name or about.text, seconds * 1000)

    def _admit(self, sql: str, about: Statement) -> QueryStatistics:
        if len(self._kinds) >= MOST_KINDS:
            return self._rest
        known = QueryStatistics(about, queries.name_of(sql))
        self._kinds[about.fingerprint] = known
        return known

    def _slow(self, sql: str, known: QueryStatistics, seconds: float) -> None:
        error = seconds >= self.thresholds.slow
        if error:
            known.slow += 1
        else:
            known.warnings += 1
        asked_for = origin.get()
        _log.log(
            logging.ERROR if error else logging.WARNING,
            "slow query: %.0f ms, %s, fingerprint %s, route %s, trace %s: %s",
            seconds * 1000,
            known.name or "(unnamed)",
            known.statement.fingerprint,
            asked_for.route or "-",
            asked_for.trace or "-",
            known.statement.text,
        )
        now = time.monotonic()
        fingerprint = known.statement.fingerprint
        if (
            self._plan is None
            or known.statement.kind == OTHER
            or now - self._planned.get(fingerprint, -_PLAN_PAUSE) < _PLAN_PAUSE
        ):
            return
        self._planned[fingerprint] = now
        task = asyncio.get_running_loop().create_task(self._capture(sql, known, self._plan))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _capture(self, sql: str, known: QueryStatistics, plan: Plan) -> None:
        unheard.set(True)
        try:
            known.plan = await plan(sql)
        except Exception as error:
            _log.warning("no plan of %s: %s", known.statement.fingerprint, error)
            return
        _log.warning("plan of %s:\n%s", known.statement.fingerprint, known.plan)

    async def close(self) -> None:
        """Wait for the plans that are asked for."""
        await asyncio.gather(*self._tasks)

    def kinds(self) -> list[QueryStatistics]:
        """Return what is known, the most time-consuming first."""
        every = [*self._kinds.values(), *([self._rest] if self._rest.durations.count else [])]
        return sorted(every, key=lambda each: -each.durations.total)

    def totals(self) -> dict[str, Any]:
        """Return the figures over all queries."""
        every = self.kinds()
        durations = Durations()
        for each in every:
            durations.merge(each.durations)
        total = durations.count
        slow = sum(each.slow for each in every)
        failed = sum(each.errors for each in every)
        by_kind: dict[str, int] = {}
        for each in every:
            kind = each.statement.kind
            by_kind[kind] = by_kind.get(kind, 0) + each.durations.count
        return {
            "totalQueries": total,
            "slowQueries": slow,
            "warningQueries": sum(each.warnings for each in every),
            "failedQueries": failed,
            **durations.in_milliseconds(),
            "slowQueryRate": rate(slow, total),
            "errorRate": rate(failed, total),
            "byType": by_kind,
        }

    async def summarise(self) -> None:
        """Log a summary now and then, for as long as this runs."""
        if not self.thresholds.summary:
            return
        while True:
            await asyncio.sleep(self.thresholds.summary)
            self.log_summary()

    def log_summary(self) -> None:
        """Log the figures over all queries, and what takes most of the time."""
        totals = self.totals()
        if not totals["totalQueries"]:
            return
        top = ", ".join(
            f"{each.name or each.statement.fingerprint} {each.durations.count}x"
            f" {1000 * each.durations.average:.1f} ms"
            for each in self.kinds()[:3]
        )
        _log.info(
            "queries: %d, slow %s, failed %s, avg %.1f ms, p50 %.1f, p95 %.1f, p99 %.1f; most: %s",
            totals["totalQueries"],
            totals["slowQueryRate"],
            totals["errorRate"],
            totals["avgMs"],
            totals["p50Ms"],
            totals["p95Ms"],
            totals["p99Ms"],
            top,
        )
