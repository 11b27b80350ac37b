"""The pages behind the login: what the own organization looks like right now.

Nobody may store them.  Each is whole as the hub sends it; the modules under
``web/static/_next/static`` add what needs a script: filtering at once, writes, live updates.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote, urlencode

import asyncpg
import msgspec
from aiohttp import web
from msgspec import Meta

from upstream import charts, queries
from upstream.answers import query_values
from upstream.context import HUB
from upstream.errors import ApiError
from upstream.handlers import procedures
from upstream.handlers.procedures import Id, Metrics, Severity
from upstream.handlers.projects import LANGUAGES, Language, ProjectsQuery, Status, get_projects
from upstream.identity import Identity, identify
from upstream.pages import private_page
from upstream.pagination import LARGEST_LIMIT, LAST_PAGE, Page, Search
from upstream.queries_of_writes import PROJECTS_TO_CHOOSE

Wanted = TypeVar("Wanted", bound="ListPage")

_SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")


class ListPage(msgspec.Struct, kw_only=True, frozen=True):
    """What every list can be asked for; unlike the API, a page overlooks other parameters."""

    page: Annotated[int, Meta(ge=1, le=LAST_PAGE)] = 1
    limit: Annotated[int, Meta(ge=1, le=LARGEST_LIMIT)] = 20
    since: date | None = None
    until: date | None = None


class IssuesPage(ListPage, kw_only=True, frozen=True):
    """Which issues are to be shown."""

    search: Search | None = None
    status: Literal["open", "resolved"] | None = None
    severity: Severity | None = None
    detector: procedures.Detector | None = None
    project: Id | None = None


class RunsPage(ListPage, kw_only=True, frozen=True):
    """Which runs are to be shown."""

    status: Literal["queued", "running", "success", "failed"] | None = None
    trigger: Literal["schedule", "push", "manual"] | None = None
    project: Id | None = None


class TestsPage(ListPage, kw_only=True, frozen=True):
    """Which tests are to be shown."""

    search: Search | None = None
    status: Literal["passed", "failed"] | None = None
    project: Id | None = None


class ProjectsPage(ListPage, kw_only=True, frozen=True):
    """Which projects are to be shown."""

    search: Search | None = None
    language: Language | None = None
    status: Status | None = None


class AnalyticsPage(msgspec.Struct, kw_only=True, frozen=True):
    """Over how many days, and of which project; None takes all of them."""

    days: Annotated[int, Meta(ge=1, le=procedures.MOST_DAYS)] = 30
    project: Id | None = None


async def overview(request: web.Request) -> web.Response:
    """Answer with what matters most, at a glance."""
    identity = await _person(request)
    pool, org_id = request.app[HUB].pool, identity.org_id
    metrics = await procedures.get_metrics(pool, org_id, procedures.MetricsInput())
    critical = procedures.IssuesInput(limit=5, status="open", severity="critical")
    open_ones = metrics.open_by_severity
    most = max(open_ones.values(), default=0)
    return private_page(
        request,
        "dashboard.html",
        identity=identity,
        metrics=metrics,
        figures=_figures(metrics),
        **_trend(metrics),
        open_by_severity=[
            (word, open_ones.get(word, 0), charts.share(open_ones.get(word, 0), most))
            for word in _SEVERITIES
        ],
        issues=(await procedures.get_issues(pool, org_id, critical)).data,
        runs=(await procedures.get_runs(pool, org_id, procedures.RunsInput(limit=5))).data,
    )


async def analytics(request: web.Request) -> web.Response:
    """Answer with what happened day by day."""
    identity = await _person(request)
    wanted = query_values(request, AnalyticsPage, empty=False)
    metrics = await procedures.get_metrics(
        request.app[HUB].pool,
        identity.org_id,
        procedures.MetricsInput(days=wanted.days, project_id=wanted.project),
    )
    totals = metrics.totals
    most = max((row["issuesFound"] for row in metrics.busiest_projects), default=0)
    runs, succeeded = totals["runs"], totals["runsSucceeded"]
    tests, passed = totals["tests"], totals["tests"] - totals["testsFailed"]
    return private_page(
        request,
        "analytics.html",
        identity=identity,
        wanted=wanted,
        metrics=metrics,
        figures=[
            ("Issues found", f"{totals['issuesFound']:,}", _a_day(totals["issuesFound"], wanted)),
            (
                "Issues resolved",
                f"{totals['issuesResolved']:,}",
                _a_day(totals["issuesResolved"], wanted),
            ),
            ("Runs succeeded", f"{charts.share(succeeded, runs):g} %", f"of {runs:,} runs"),
            ("Tests passed", f"{charts.share(passed, tests):g} %", f"of {tests:,} tests"),
        ],
        **_trend(metrics),
        busiest=[
            (row, row["issuesFound"], charts.share(row["issuesFound"], most))
            for row in metrics.busiest_projects
        ],
        ratios=[
            ("Runs that succeeded", succeeded, runs, charts.share(succeeded, runs), "good"),
            ("Tests that passed", passed, tests, charts.share(passed, tests), "good"),
            (
                "Found issues that were resolved",
                totals["issuesResolved"],
                totals["issuesFound"],
                min(100.0, charts.share(totals["issuesResolved"], totals["issuesFound"])),
                "good",
            ),
        ],
    )


async def issues(request: web.Request) -> web.Response:
    """Answer with what Insight found."""
    identity, wanted = await _person(request), _wanted(request, IssuesPage)
    found = await procedures.get_issues(
        request.app[HUB].pool,
        identity.org_id,
        procedures.IssuesInput(
            page=wanted.page,
            limit=wanted.limit,
            search=wanted.search,
            status=wanted.status,
            severity=wanted.severity,
            detector=wanted.detector,
            project_id=wanted.project,
            since=_midnight(wanted.since),
            until=_midnight(wanted.until),
        ),
    )
    return await _list(request, "issues", identity, wanted, found)


async def runs(request: web.Request) -> web.Response:
    """Answer with what Autopilot did."""
    identity, wanted = await _person(request), _wanted(request, RunsPage)
    found = await procedures.get_runs(
        request.app[HUB].pool,
        identity.org_id,
        procedures.RunsInput(
            page=wanted.page,
            limit=wanted.limit,
            status=wanted.status,
            trigger=wanted.trigger,
            project_id=wanted.project,
            since=_midnight(wanted.since),
            until=_midnight(wanted.until),
        ),
    )
    return await _list(request, "runs", identity, wanted, found)


async def tests(request: web.Request) -> web.Response:
    """Answer with what Guardian tested."""
    identity, wanted = await _person(request), _wanted(request, TestsPage)
    found = await procedures.get_tests(
        request.app[HUB].pool,
        identity.org_id,
        procedures.TestsInput(
            page=wanted.page,
            limit=wanted.limit,
            search=wanted.search,
            status=wanted.status,
            project_id=wanted.project,
            since=_midnight(wanted.since),
            until=_midnight(wanted.until),
        ),
    )
    return await _list(request, "tests", identity, wanted, found)


async def projects(request: web.Request) -> web.Response:
    """Answer with the organization's projects."""
    identity, wanted = await _person(request), _wanted(request, ProjectsPage)
    found = await get_projects(
        request.app[HUB].pool,
        identity.org_id,
        ProjectsQuery(
            page=wanted.page,
            limit=wanted.limit,
            search=wanted.search,
            language=wanted.language,
            status=wanted.status,
            since=_midnight(wanted.since),
            until=_midnight(wanted.until),
        ),
    )
    return await _list(request, "projects", identity, wanted, found)


async def billing(request: web.Request) -> web.Response:
    """Answer with what the organization pays for."""
    identity = await _person(request)
    row = await request.app[HUB].pool.fetchrow(queries.SUBSCRIPTION_OF_ORG, identity.org_id)
    return private_page(request, "billing.html", identity=identity, subscription=row)


async def _list(
    request: web.Request, name: str, identity: Identity, wanted: ListPage, found: Page
) -> web.Response:
    choices: Sequence[asyncpg.Record] = ()
    if name != "projects":
        choices = await request.app[HUB].pool.fetch(PROJECTS_TO_CHOOSE, identity.org_id)
    return private_page(
        request,
        "list.html",
        identity=identity,
        name=name,
        wanted=wanted,
        filtered=bool(_set(wanted).keys() - {"page", "limit"}),
        rows=found.data,
        pagination=found.pagination,
        link=_link(wanted),
        projects=choices,
        languages=LANGUAGES,
    )


async def _person(request: web.Request) -> Identity:
    """Return who looks at the dashboard, or send them to the login page."""
    if (identity := await identify(request)) is None:
        raise ApiError(
            HTTPStatus.SEE_OTHER,
            "login_required",
            "log in first",
            headers={"Location": f"/login?next={quote(request.path_qs, safe='/')}"},
        )
    return identity


def _wanted(request: web.Request, kind: type[Wanted]) -> Wanted:
    return query_values(request, kind, empty=False)


def _set(wanted: ListPage) -> dict[str, Any]:
    """Return what differs from what is shown unasked."""
    defaults = type(wanted)()
    values = msgspec.structs.asdict(wanted)
    return {name: value for name, value in values.items() if value != getattr(defaults, name)}


def _link(wanted: ListPage) -> Callable[[int], str]:
    """Return what makes the address of another page with the same filters."""
    kept = _set(wanted)

    def link(page: int) -> str:
        return "?" + urlencode({**kept, "page": page})

    return link


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def _trend(metrics: Metrics) -> dict[str, charts.Line]:
    """Return both lines of the chart, on one scale."""
    found = [day["issuesFound"] for day in metrics.series]
    resolved = [day["issuesResolved"] for day in metrics.series]
    top = charts.round_above(max(found + resolved))
    return {
        "found": charts.line(found, width=720, height=220, top=top),
        "resolved": charts.line(resolved, width=720, height=220, top=top),
    }


def _figures(metrics: Metrics) -> list[tuple[str, int, str, charts.Line, str]]:
    totals = metrics.totals

    def spark(name: str) -> charts.Line:
        return charts.line([day[name] for day in metrics.series], width=240, height=44)

    return [
        ("Issues found", totals["issuesFound"], "in 30 days", spark("issuesFound"), "bad"),
        ("Issues resolved", totals["issuesResolved"], "in 30 days", spark("issuesResolved"), ""),
        (
            "Runs succeeded",
            totals["runsSucceeded"],
            f"of {totals['runs']:,} runs",
            spark("runsSucceeded"),
            "",
        ),
        (
            "Tests failed",
            totals["testsFailed"],
            f"of {totals['tests']:,} tests",
            spark("testsFailed"),
            "bad",
        ),
    ]


def _a_day(count: int, wanted: AnalyticsPage) -> str:
    return f"{count / wanted.days:.1f} a day"
