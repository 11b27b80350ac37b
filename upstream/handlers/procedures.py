"""The procedures of the API: what each takes, reads and promises about freshness."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from upstream import caching, queries
from upstream.answers import decode
from upstream.caching import Freshness
from upstream.pagination import (
    Filters,
    Instant,
    Page,
    PageRequest,
    Search,
    contains,
    fetch_page,
)
from upstream.pool import Pool

Input = TypeVar("Input")

Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Detector = Annotated[str, Meta(pattern=r"^[a-z-]{1,40}$")]
Severity = Literal["low", "medium", "high", "critical"]

MOST_DAYS = 90


@dataclass(frozen=True, slots=True)
class Procedure(Generic[Input]):
    """One procedure that reads; *answer* gets the pool, the organization and the input."""

    takes: type[Input]
    answer: Callable[[Pool, int, Input], Awaitable[Any]]
    freshness: Freshness

    async def run(self, pool: Pool, org_id: int, raw: bytes) -> "Answered":
        """Answer for the JSON in *raw*; ApiError names the field that is at fault."""
        wanted = decode(raw, self.takes)
        project_id = getattr(wanted, "project_id", None)
        return Answered(await self.answer(pool, org_id, wanted), project_id)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a procedure found."""

    data: Any
    project_id: int | None
    """The only project that was read; None when all of the organization were."""


class IssuesInput(PageRequest, kw_only=True, frozen=True):
    """Which issues are wanted."""

    project_id: Id | None = None
    severity: Severity | None = None
    detector: Detector | None = None
    status: Literal["open", "resolved"] | None = None
    search: Search | None = None
    since: Instant | None = None
    until: Instant | None = None


class RunsInput(PageRequest, kw_only=True, frozen=True):
    """Which runs are wanted."""

    project_id: Id | None = None
    status: Literal["queued", "running", "success", "failed"] | None = None
    trigger: Literal["schedule", "push", "manual"] | None = None
    since: Instant | None = None
    until: Instant | None = None


class TestsInput(PageRequest, kw_only=True, frozen=True):
    """Which tests are wanted."""

    project_id: Id | None = None
    status: Literal["passed", "failed"] | None = None
    url: Annotated[str, Meta(max_length=300, pattern=r"^[^\x00]*$")] | None = None
    search: Search | None = None
    since: Instant | None = None
    until: Instant | None = None


class MetricsInput(
    msgspec.Struct, kw_only=True, frozen=True, rename="camel", forbid_unknown_fields=True
):
    """Over how many days, and of which project; None takes all of them."""

    days: Annotated[int, Meta(ge=1, le=MOST_DAYS)] = 30
    project_id: Id | None = None


class Metrics(msgspec.Struct, frozen=True, rename="camel"):
    """What happened in an organization, day by day."""

    since: date
    until: date
    totals: dict[str, int]
    series: list[dict[str, Any]]
    open_by_severity: dict[str, int]
    busiest_projects: list[dict[str, Any]]


async def get_issues(pool: Pool, org_id: int, wanted: IssuesInput) -> Page:
    """Return the issues that Insight found, newest first."""
    filters = Filters.of(
        queries.ISSUES,
        {
            "project": wanted.project_id,
            "severity": wanted.severity,
            "detector": wanted.detector,
            "open": wanted.status == "open",
            "resolved": wanted.status == "resolved",
            "search": contains(wanted.search),
            "since": wanted.since,
            "until": wanted.until,
        },
    )
    return await fetch_page(pool, queries.ISSUES, org_id, filters, wanted)


async def get_runs(pool: Pool, org_id: int, wanted: RunsInput) -> Page:
    """Return the runs of Autopilot, newest first."""
    filters = Filters.of(
        queries.RUNS,
        {
            "project": wanted.project_id,
            # A status of its own in the query lets PostgreSQL use the index of just these.
            "status": None if wanted.status == "success" else wanted.status,
            "success": wanted.status == "success",
            "trigger": wanted.trigger,
            "since": wanted.since,
            "until": wanted.until,
        },
    )
    return await fetch_page(pool, queries.RUNS, org_id, filters, wanted)


async def get_tests(pool: Pool, org_id: int, wanted: TestsInput) -> Page:
    """Return the tests of Guardian, newest first."""
    filters = Filters.of(
        queries.TESTS,
        {
            "project": wanted.project_id,
            "status": None if wanted.status == "failed" else wanted.status,
            "failed": wanted.status == "failed",
            "url": wanted.url,
            "search": contains(wanted.search),
            "since": wanted.since,
            "until": wanted.until,
        },
    )
    return await fetch_page(pool, queries.TESTS, org_id, filters, wanted)


async def get_metrics(pool: Pool, org_id: int, wanted: MetricsInput) -> Metrics:
    """Return the days that end with the newest one on which anything happened."""
    until = await pool.fetchval(queries.ANALYTICS_LAST_DAY, org_id) or date(1970, 1, 1)
    since = until - timedelta(days=wanted.days - 1)
    series = await pool.fetch(queries.ANALYTICS_SERIES, org_id, since, until, wanted.project_id)
    by_severity = await pool.fetch(queries.ANALYTICS_BY_SEVERITY, org_id, wanted.project_id)
    busiest = await pool.fetch(queries.ANALYTICS_BUSIEST, org_id, since, until)
    days = [dict(row) for row in series]
    measures = [name for name in days[0] if name != "day"]
    return Metrics(
        since=since,
        until=until,
        totals={name: sum(day[name] for day in days) for name in measures},
        series=days,
        open_by_severity={row["severity"]: row["open"] for row in by_severity},
        busiest_projects=[dict(row) for row in busiest],
    )


PROCEDURES: dict[str, Procedure[Any]] = {
    "insight.getIssues": Procedure(IssuesInput, get_issues, caching.LISTS),
    "autopilot.getRuns": Procedure(RunsInput, get_runs, caching.LISTS),
    "guardian.getTests": Procedure(TestsInput, get_tests, caching.LISTS),
    "analytics.getMetrics": Procedure(MetricsInput, get_metrics, caching.REPORTS),
}
