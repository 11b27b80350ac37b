"""What each index is for: the query whose plan uses it, on data as they grow in a few weeks."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.upstream.conftest import make_database
from upstream.catalogue import named_queries
from upstream.embedded import EmbeddedPostgres
from upstream.monitoring import indexes
from upstream.pool import connect
from upstream.settings import DatabaseAddress, PoolSettings

NOW = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=4 * 181)
FIRST_PAGE = (21, 0)
ACME = 1
"""The organization with the most of everything."""
SMALL = 40
PROJECT = 1
MONDAY, SUNDAY = date(2026, 10, 19), date(2026, 10, 25)

USES: dict[str, tuple[str, tuple[Any, ...]]] = {
    # Issues
    "insight_issues_org_created": ("insight.issues.page", (ACME, *FIRST_PAGE)),
    "insight_issues_project_created": (
        "insight.issues.page.project",
        (ACME, PROJECT, *FIRST_PAGE),
    ),
    "insight_issues_org_severity_created": (
        "insight.issues.page.severity",
        (ACME, "high", *FIRST_PAGE),
    ),
    "insight_issues_org_detector_created": (
        "insight.issues.page.detector",
        (ACME, "security", *FIRST_PAGE),
    ),
    "insight_issues_org_severity_detector_created": (
        "insight.issues.page.severity.detector",
        (ACME, "critical", "security", *FIRST_PAGE),
    ),
    "insight_issues_project_severity_created": (
        "insight.issues.page.project.severity",
        (ACME, PROJECT, "high", *FIRST_PAGE),
    ),
    "insight_issues_project_detector_created": (
        "insight.issues.page.project.detector",
        (ACME, PROJECT, "security", *FIRST_PAGE),
    ),
    "insight_issues_open_org_created": ("insight.issues.page.open", (ACME, *FIRST_PAGE)),
    "insight_issues_open_org_severity_created": (
        "insight.issues.page.severity.open",
        (ACME, "critical", *FIRST_PAGE),
    ),
    "insight_issues_open_org_detector_created": (
        "insight.issues.page.detector.open",
        (ACME, "security", *FIRST_PAGE),
    ),
    "insight_issues_open_project_created": (
        "insight.issues.page.project.open",
        (ACME, PROJECT, *FIRST_PAGE),
    ),
    "insight_issues_open_project_severity_created": (
        "insight.issues.page.project.severity.open",
        (ACME, PROJECT, "high", *FIRST_PAGE),
    ),
    "insight_issues_resolved_org_created": ("insight.issues.page.resolved", (ACME, *FIRST_PAGE)),
    "insight_issues_resolved_project_created": (
        "insight.issues.page.project.resolved",
        (ACME, PROJECT, *FIRST_PAGE),
    ),
    "insight_issues_open_severity_covering": ("analytics.by_severity", (ACME, None)),
    "insight_issues_message_trgm": ("insight.issues.total.search", (SMALL, "%vulnerability in%")),
    "insight_issues_file_path_trgm": ("insight.issues.total.search", (SMALL, "%vulnerability in%")),
    "insight_issues_created_brin": ("activity.issues", (NOW - timedelta(days=1),)),
    # Runs
    "autopilot_runs_org_created": ("autopilot.runs.page", (ACME, *FIRST_PAGE)),
    "autopilot_runs_project_created": (
        "autopilot.runs.page.project",
        (ACME, PROJECT, *FIRST_PAGE),
    ),
    "autopilot_runs_org_status_created": (
        "autopilot.runs.page.status",
        (ACME, "failed", *FIRST_PAGE),
    ),
    "autopilot_runs_project_status_created": (
        "autopilot.runs.page.project.status",
        (ACME, PROJECT, "failed", *FIRST_PAGE),
    ),
    "autopilot_runs_org_trigger_created": (
        "autopilot.runs.page.trigger",
        (ACME, "manual", *FIRST_PAGE),
    ),
    "autopilot_runs_project_trigger_created": (
        "autopilot.runs.page.project.trigger",
        (ACME, PROJECT, "manual", *FIRST_PAGE),
    ),
    "autopilot_runs_success_org_created": ("autopilot.runs.page.success", (ACME, *FIRST_PAGE)),
    "autopilot_runs_queued_project_created": ("autopilot.run_waiting", (PROJECT, ACME)),
    "autopilot_runs_created_brin": ("activity.runs", (NOW - timedelta(days=1),)),
    # Tests
    "guardian_tests_org_created": ("guardian.tests.page", (ACME, *FIRST_PAGE)),
    "guardian_tests_project_created": (
        "guardian.tests.page.project",
        (ACME, PROJECT, *FIRST_PAGE),
    ),
    "guardian_tests_url_created": (
        "guardian.tests.page.url",
        (ACME, "https://search-web-7.test/", *FIRST_PAGE),
    ),
    "guardian_tests_failed_org_created": ("guardian.tests.page.failed", (ACME, *FIRST_PAGE)),
    "guardian_tests_failed_project_created": (
        "guardian.tests.page.project.failed",
        (ACME, PROJECT, *FIRST_PAGE),
    ),
    "guardian_tests_url_trgm": ("guardian.tests.total.search", (SMALL, "%mobile-worker-77%")),
    "guardian_tests_created_brin": ("activity.tests", (NOW - timedelta(days=1),)),
    # Projects and organizations
    "projects_org_created": ("projects.page", (ACME, *FIRST_PAGE)),
    "projects_org_status_created": ("projects.page.status", (ACME, "archived", *FIRST_PAGE)),
    "projects_org_language_created": ("projects.page.language", (ACME, "Rust", *FIRST_PAGE)),
    # The audit log
    "audit_logs_org_created_id": ("audit.logs.page", (ACME, *FIRST_PAGE)),
    "audit_logs_user_created": ("audit.of_user", (5,)),
    "audit_logs_org_user_created": ("audit.logs.page.user", (ACME, 9, *FIRST_PAGE)),
    "audit_logs_org_action_created": (
        "audit.logs.page.action",
        (ACME, "auth.logout", *FIRST_PAGE),
    ),
    "audit_logs_org_target_created": ("audit.logs.page.target", (ACME, "user:9", *FIRST_PAGE)),
    "audit_logs_grave_org_created": ("audit.logs.page.grave", (ACME, *FIRST_PAGE)),
    "audit_logs_created_brin": ("activity.writes", (NOW + timedelta(days=360),)),
    # People, keys and sessions
    "users_active_email": ("users.by_email", ("ada@acme.test",)),
    "users_org_created": ("members.page", (ACME, *FIRST_PAGE)),
    "users_active_org_created": ("members.page.active", (ACME, *FIRST_PAGE)),
    "sessions_user_expires": ("sessions.of_user", (3,)),
    "sessions_expires": ("sessions.drop_expired", ()),
    "api_keys_active_hash": ("identity.by_api_key", (b"\x00" * 32,)),
    "api_keys_active_user_org_created": ("api_keys.of_user", (5, ACME)),
    "api_keys_org_created": ("api_keys.of_org", (SMALL,)),
    # Rollups and articles
    "analytics_rollups_org_day_found": ("analytics.busiest_projects", (ACME, MONDAY, SUNDAY)),
}
"""The indexes that migrations make for queries, each with a query and its values."""

GROWN = Path(__file__).with_name("grown.sql")


@pytest.fixture(scope="module")
def grown(postgres: EmbeddedPostgres) -> DatabaseAddress:
    """Lend the demo's database after it has grown for a while."""
    address = make_database(postgres, template="hub")

    async def grow() -> None:
        connection = await connect(address, PoolSettings())
        await connection.execute(GROWN.read_text())
        await connection.execute("VACUUM ANALYZE")
        await connection.close()

    asyncio.run(grow())
    return address


async def plan_of(connection: asyncpg.Connection, name: str, values: tuple[Any, ...]) -> Any:
    query = named_queries()[name]
    text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query.sql}", *values)
    return json.loads(text)


def named_in(plan: Any) -> set[str]:
    """Return the indexes that a plan names, however deep."""
    if isinstance(plan, list):
        return set().union(*map(named_in, plan))
    if not isinstance(plan, dict):
        return set()
    mine = {plan["Index Name"]} if "Index Name" in plan else set()
    return mine.union(*map(named_in, plan.values()))


@pytest.mark.parametrize("index", USES)
async def test_an_index_is_used_by_the_query_that_it_is_for(
    grown: DatabaseAddress, index: str
) -> None:
    name, values = USES[index]
    connection = await connect(grown, PoolSettings())
    try:
        plan = await plan_of(connection, name, values)
    finally:
        await connection.close()

    assert index in named_in(plan), json.dumps(plan, indent=1)


async def test_every_index_is_accounted_for_and_there_are_more_than_fifty(
    grown: DatabaseAddress,
) -> None:
    connection = await connect(grown, PoolSettings())
    try:
        found = await indexes.report(connection)
        constraints = {
            row["conname"] for row in await connection.fetch("SELECT conname FROM pg_constraint")
        }
    finally:
        await connection.close()
    made = {each["index"] for each in found.indexes} - constraints - {"schema_migrations_pkey"}

    assert made == set(USES) | {"articles_section_published"}
    assert len(made) > 50
    assert all(each["valid"] for each in found.indexes)


async def test_no_index_is_the_beginning_of_another(grown: DatabaseAddress) -> None:
    connection = await connect(grown, PoolSettings())
    try:
        found = await indexes.report(connection)
    finally:
        await connection.close()

    assert found.duplicates == []
