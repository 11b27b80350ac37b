"""Every question that the hub asks its database, by name.

Values travel as parameters; the text of a query is put together only from the constants
below, never from what a client sent.  A name is what monitoring, ``EXPLAIN`` and the
index tests call a query by.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

_NAMES: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Query:
    """One statement; ``$1`` and so on are its parameters."""

    name: str
    sql: str

    def __post_init__(self) -> None:
        _NAMES[self.sql] = self.name


def name_of(sql: str) -> str | None:
    """Return what the hub calls the query *sql*; None for one that has no name."""
    return _NAMES.get(sql)


@dataclass(frozen=True)
class Listing:
    """A list that can be filtered and walked through, newest first.

    Its parameters are the scope, then the filters in the order asked for, then what the
    kind of page needs: created_at and id of the row before it, limit; or limit, offset.
    """

    name: str
    columns: str
    source: str
    scope: str
    """The column that ties a row to its reader; ``$1`` is compared with it."""
    filters: Mapping[str, str]
    """Conditions by name; ``{0}`` stands for the parameter, none is needed without it."""
    row: str
    """The alias whose created_at and id order the list."""

    def page(self, filters: tuple[str, ...], *, after_cursor: bool) -> Query:
        """Return the query for one page; *filters* that take a value, in parameter order."""
        return _page(self, filters, after_cursor)

    def total(self, filters: tuple[str, ...]) -> Query:
        """Return the query that counts the whole filtered list."""
        return _total(self, filters)

    def takes_value(self, name: str) -> bool:
        """Tell whether the filter called *name* has a parameter."""
        return "{" in self.filters[name]

    def conditions(self, filters: Iterable[str]) -> tuple[list[str], int]:
        """Return the conditions and the number of the last parameter they use."""
        conditions, number = [f"{self.scope} = $1"], 1
        for name in filters:
            if self.takes_value(name):
                number += 1
            conditions.append(self.filters[name].format(f"${number}"))
        return conditions, number

    def __hash__(self) -> int:
        return hash(self.name)


@cache
def _page(listing: Listing, filters: tuple[str, ...], after_cursor: bool) -> Query:
    conditions, last = listing.conditions(filters)
    row = listing.row
    if after_cursor:
        conditions.append(f"({row}.created_at, {row}.id) < (${last + 1}, ${last + 2})")
        window = f"LIMIT ${last + 3}"
    else:
        window = f"LIMIT ${last + 1} OFFSET ${last + 2}"
    sql = (
        f"SELECT {listing.columns}, {row}.created_at AS cursor_at, {row}.id AS cursor_id"  # noqa: S608 - constants of this module only
        f" FROM {listing.source} WHERE {' AND '.join(conditions)}"
        f" ORDER BY {row}.created_at DESC, {row}.id DESC {window}"
    )
    return Query(".".join([listing.name, "after" if after_cursor else "page", *filters]), sql)


@cache
def _total(listing: Listing, filters: tuple[str, ...]) -> Query:
    conditions, _ = listing.conditions(filters)
    sql = f"SELECT count(*) FROM {listing.source} WHERE {' AND '.join(conditions)}"  # noqa: S608 - constants of this module only
    return Query(".".join([listing.name, "total", *filters]), sql)


_IN_TIME = {"since": "{row}.created_at >= {{0}}", "until": "{row}.created_at < {{0}}"}


def time_filters(row: str) -> dict[str, str]:
    """Return the filters by the created_at of the alias *row*."""
    return {name: condition.format(row=row) for name, condition in _IN_TIME.items()}


ISSUES = Listing(
    name="insight.issues",
    columns='i.id, i.project_id AS "projectId", p.name AS "projectName",'
    ' i.detector_type AS "detector", i.severity, i.message, i.file_path AS "filePath", i.line,'
    " CASE WHEN i.resolved_at IS NULL THEN 'open' ELSE 'resolved' END AS status,"
    ' i.resolved_at AS "resolvedAt", i.created_at AS "createdAt"',
    source="insight_issues AS i JOIN projects AS p ON p.id = i.project_id",
    scope="i.org_id",
    filters={
        "project": "i.project_id = {0}",
        "severity": "i.severity = {0}",
        "detector": "i.detector_type = {0}",
        "open": "i.resolved_at IS NULL",
        "resolved": "i.resolved_at IS NOT NULL",
        "search": "(i.message ILIKE {0} OR i.file_path ILIKE {0})",
        **time_filters("i"),
    },
    row="i",
)

RUNS = Listing(
    name="autopilot.runs",
    columns='r.id, r.project_id AS "projectId", p.name AS "projectName", r.status, r.trigger,'
    ' r.files_changed AS "filesChanged", r.issues_fixed AS "issuesFixed",'
    ' r.duration_ms AS "durationMs", r.created_at AS "createdAt"',
    source="autopilot_runs AS r JOIN projects AS p ON p.id = r.project_id",
    scope="r.org_id",
    filters={
        "project": "r.project_id = {0}",
        "status": "r.status = {0}",
        "success": "r.status = 'success'",
        "trigger": "r.trigger = {0}",
        **time_filters("r"),
    },
    row="r",
)

TESTS = Listing(
    name="guardian.tests",
    columns='t.id, t.project_id AS "projectId", p.name AS "projectName", t.url, t.status,'
    " t.performance, t.accessibility, t.security,"
    ' t.duration_ms AS "durationMs", t.created_at AS "createdAt"',
    source="guardian_tests AS t JOIN projects AS p ON p.id = t.project_id",
    scope="t.org_id",
    filters={
        "project": "t.project_id = {0}",
        "status": "t.status = {0}",
        "failed": "t.status = 'failed'",
        "url": "t.url = {0}",
        "search": "t.url ILIKE {0}",
        **time_filters("t"),
    },
    row="t",
)

_PROJECT_COLUMNS = (
    'p.id, p.slug, p.name, p.language, p.repository_url AS "repositoryUrl", p.status,'
    ' p.created_at AS "createdAt", p.updated_at AS "updatedAt"'
)

PROJECTS = Listing(
    name="projects",
    columns=_PROJECT_COLUMNS,
    source="projects AS p",
    scope="p.org_id",
    filters={
        "status": "p.status = {0}",
        "language": "p.language = {0}",
        "search": "(p.name ILIKE {0} OR p.slug ILIKE {0})",
        **time_filters("p"),
    },
    row="p",
)

_ORGANIZATION_COLUMNS = (
    'o.id, o.slug, o.name, o.plan, o.created_at AS "createdAt", o.updated_at AS "updatedAt"'
)

ORGANIZATIONS = Listing(
    name="organizations",
    columns=f"{_ORGANIZATION_COLUMNS}, m.role",
    source="memberships AS m JOIN organizations AS o ON o.id = m.org_id",
    scope="m.user_id",
    filters={},
    row="o",
)

# Who is asking

IDENTITY_BY_SESSION = Query(
    "identity.by_session",
    """
    SELECT u.id AS user_id, u.email, u.name, o.id AS org_id, o.name AS org_name,
           o.slug AS org_slug, greatest(o.changed_at, s.acting_since) AS org_changed_at, m.role,
           s.expires_at
    FROM sessions AS s
    JOIN users AS u ON u.id = s.user_id AND u.active
    JOIN memberships AS m ON m.user_id = s.user_id AND m.org_id = s.org_id
    JOIN organizations AS o ON o.id = s.org_id
    WHERE s.token_hash = $1 AND s.expires_at > now()
    """,
)
IDENTITY_BY_API_KEY = Query(
    "identity.by_api_key",
    """
    SELECT u.id AS user_id, u.email, u.name, o.id AS org_id, o.name AS org_name,
           o.slug AS org_slug, o.changed_at AS org_changed_at, m.role,
           NULL::timestamptz AS expires_at
    FROM api_keys AS k
    JOIN users AS u ON u.id = k.user_id AND u.active
    JOIN memberships AS m ON m.user_id = k.user_id AND m.org_id = k.org_id
    JOIN organizations AS o ON o.id = k.org_id
    WHERE k.key_hash = $1 AND k.revoked_at IS NULL
    """,
)
USER_BY_EMAIL = Query(
    "users.by_email",
    "SELECT id, org_id, password_hash FROM users WHERE email = $1 AND active",
)
HOME_MEMBERSHIP = Query(
    "memberships.home",
    """
    SELECT org_id FROM memberships WHERE user_id = $1 ORDER BY (org_id = $2) DESC, org_id LIMIT 1
    """,
)
SESSION_START = Query(
    "sessions.start",
    """
    INSERT INTO sessions (token_hash, user_id, org_id, user_agent, expires_at)
    VALUES ($1, $2, $3, $4, $5)
    """,
)
SESSION_END = Query(
    "sessions.end", "DELETE FROM sessions WHERE token_hash = $1 RETURNING user_id, org_id"
)
SESSION_SWITCH = Query(
    "sessions.switch",
    """
    UPDATE sessions AS s SET org_id = m.org_id, acting_since = now()
    FROM memberships AS m
    WHERE s.token_hash = $1 AND m.user_id = s.user_id AND m.org_id = $2
    RETURNING s.org_id
    """,
)
API_KEY_CREATE = Query(
    "api_keys.create",
    """
    INSERT INTO api_keys (org_id, user_id, name, prefix, key_hash) VALUES ($1, $2, $3, $4, $5)
    RETURNING id, name, prefix, created_at AS "createdAt"
    """,
)
API_KEYS_OF_USER = Query(
    "api_keys.of_user",
    """
    SELECT id, name, prefix, created_at AS "createdAt" FROM api_keys
    WHERE user_id = $1 AND org_id = $2 AND revoked_at IS NULL ORDER BY created_at DESC LIMIT 100
    """,
)
API_KEY_REVOKE = Query(
    "api_keys.revoke",
    """
    UPDATE api_keys SET revoked_at = now()
    WHERE id = $1 AND user_id = $2 AND org_id = $3 AND revoked_at IS NULL RETURNING id
    """,
)

# What people change

PROJECT_BY_ID = Query(
    "projects.by_id",
    f"SELECT {_PROJECT_COLUMNS} FROM projects AS p WHERE p.id = $1 AND p.org_id = $2",  # noqa: S608 - constants of this module only
)
PROJECT_CREATE = Query(
    "projects.create",
    f"""
    INSERT INTO projects AS p (org_id, slug, name, language, repository_url)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (org_id, slug) DO NOTHING
    RETURNING {_PROJECT_COLUMNS}
    """,  # noqa: S608 - constants of this module only
)
PROJECT_UPDATE = Query(
    "projects.update",
    f"""
    UPDATE projects AS p
    SET name = coalesce($3, p.name), language = coalesce($4, p.language),
        repository_url = CASE WHEN $5 THEN $6 ELSE p.repository_url END,
        status = coalesce($7, p.status), updated_at = now()
    WHERE p.id = $1 AND p.org_id = $2
    RETURNING {_PROJECT_COLUMNS}
    """,  # noqa: S608 - constants of this module only
)
ORGANIZATION_CREATE = Query(
    "organizations.create",
    f"""
    INSERT INTO organizations AS o (slug, name, plan) VALUES ($1, $2, 'free')
    ON CONFLICT (slug) DO NOTHING
    RETURNING {_ORGANIZATION_COLUMNS}
    """,  # noqa: S608 - constants of this module only
)
ORGANIZATION_BY_ID = Query(
    "organizations.by_id",
    f"""
    SELECT {_ORGANIZATION_COLUMNS}, m.role
    FROM memberships AS m JOIN organizations AS o ON o.id = m.org_id
    WHERE m.user_id = $1 AND m.org_id = $2
    """,  # noqa: S608 - constants of this module only
)
ORGANIZATION_RENAME = Query(
    "organizations.rename",
    f"""
    UPDATE organizations AS o SET name = $2, updated_at = now() WHERE o.id = $1
    RETURNING {_ORGANIZATION_COLUMNS}
    """,  # noqa: S608 - constants of this module only
)
MEMBERSHIP_CREATE = Query(
    "memberships.create", "INSERT INTO memberships (user_id, org_id, role) VALUES ($1, $2, $3)"
)
AUDIT = Query(
    "audit.write",
    """
    INSERT INTO audit_logs (org_id, user_id, action, severity, target) VALUES ($1, $2, $3, $4, $5)
    """,
)
NOTIFY = Query("events.notify", "SELECT pg_notify($1, $2)")

# Billing

SUBSCRIPTION_OF_ORG = Query(
    "subscriptions.of_org",
    """
    SELECT customer_id AS "customerId", plan, status, seats,
           current_period_end AS "currentPeriodEnd", updated_at AS "updatedAt"
    FROM subscriptions WHERE org_id = $1
    """,
)
STRIPE_EVENT_SEEN = Query(
    "stripe_events.seen",
    "INSERT INTO stripe_events (id, type) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id",
)
SUBSCRIPTION_UPDATE = Query(
    "subscriptions.update",
    """
    UPDATE subscriptions
    SET status = $2, plan = coalesce($3, plan), seats = coalesce($4, seats),
        current_period_end = coalesce($5, current_period_end), updated_at = now()
    WHERE customer_id = $1
    RETURNING org_id, plan
    """,
)
ORGANIZATION_PLAN = Query(
    "organizations.plan", "UPDATE organizations SET plan = $2, updated_at = now() WHERE id = $1"
)

# Analytics: a range ends on the newest day that has anything, so that quiet weeks don't
# empty the picture.

ANALYTICS_LAST_DAY = Query(
    "analytics.last_day", "SELECT max(day) FROM analytics_rollups WHERE org_id = $1"
)
ANALYTICS_SERIES = Query(
    "analytics.series",
    """
    SELECT d::date AS day,
           coalesce(sum(r.issues_found), 0)::int AS "issuesFound",
           coalesce(sum(r.issues_resolved), 0)::int AS "issuesResolved",
           coalesce(sum(r.runs), 0)::int AS runs,
           coalesce(sum(r.runs_succeeded), 0)::int AS "runsSucceeded",
           coalesce(sum(r.tests), 0)::int AS tests,
           coalesce(sum(r.tests_failed), 0)::int AS "testsFailed"
    FROM generate_series($2::date, $3::date, '1 day') AS d
    LEFT JOIN analytics_rollups AS r
        ON r.org_id = $1 AND r.day = d::date AND ($4::bigint IS NULL OR r.project_id = $4)
    GROUP BY d ORDER BY d
    """,
)
ANALYTICS_BY_SEVERITY = Query(
    "analytics.by_severity",
    """
    SELECT severity, count(*) AS open FROM insight_issues
    WHERE org_id = $1 AND resolved_at IS NULL AND ($2::bigint IS NULL OR project_id = $2)
    GROUP BY severity
    """,
)
ANALYTICS_BUSIEST = Query(
    "analytics.busiest_projects",
    """
    SELECT p.id, p.name, sum(r.issues_found)::int AS "issuesFound"
    FROM analytics_rollups AS r JOIN projects AS p ON p.id = r.project_id
    WHERE r.org_id = $1 AND r.day BETWEEN $2 AND $3
    GROUP BY p.id, p.name ORDER BY 3 DESC, p.id LIMIT 5
    """,
)

# Starting up and staying up

PING = Query("health.ping", "SELECT current_setting('server_version')")
ESTIMATED_ROWS = Query(
    "health.estimated_rows",
    """
    SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
    """,
)
_TABLES = (
    "organizations",
    "users",
    "memberships",
    "projects",
    "insight_issues",
    "autopilot_runs",
    "guardian_tests",
    "sessions",
    "api_keys",
    "audit_logs",
    "analytics_rollups",
    "subscriptions",
    "stripe_events",
    "articles",
)
COUNT_ROWS = Query(
    "health.count_rows",
    "SELECT " + " + ".join(f"(SELECT count(*) FROM {table})" for table in _TABLES),  # noqa: S608 - constants of this module only
)
HAS_ORGANIZATIONS = Query("seed.needed", "SELECT EXISTS (SELECT FROM organizations)")
MIGRATION_LOCK = Query("migrations.lock", "SELECT pg_try_advisory_lock($1)")
MIGRATION_UNLOCK = Query("migrations.unlock", "SELECT pg_advisory_unlock($1)")
MIGRATION_TABLE = Query(
    "migrations.table",
    """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version     integer PRIMARY KEY,
        name        text NOT NULL,
        checksum    text NOT NULL,
        applied_at  timestamptz NOT NULL DEFAULT now()
    )
    """,
)
MIGRATIONS_APPLIED = Query(
    "migrations.applied", "SELECT version, name, checksum FROM schema_migrations"
)
MIGRATION_DONE = Query(
    "migrations.done",
    "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
)
