"""Who belongs to an organization, and what was done in it."""

from upstream.queries import Listing, Query, time_filters

MEMBERS = Listing(
    name="members",
    columns="u.id, u.name, u.email, u.active",
    source="users AS u",
    scope="u.org_id",
    filters={
        "active": "u.active",
        "search": "(u.name ILIKE {0} OR u.email ILIKE {0})",
        **time_filters("u"),
    },
    row="u",
)

AUDIT_LOGS = Listing(
    name="audit.logs",
    columns='a.id, a.user_id AS "userId", a.action, a.severity, a.target,'
    ' a.created_at AS "createdAt"',
    source="audit_logs AS a",
    scope="a.org_id",
    filters={
        "user": "a.user_id = {0}",
        "action": "a.action = {0}",
        "target": "a.target = {0}",
        "grave": "a.severity IN ('ERROR', 'CRITICAL')",
        **time_filters("a"),
    },
    row="a",
)

API_KEYS_OF_ORG = Query(
    "api_keys.of_org",
    """
    SELECT id, user_id AS "userId", name, prefix, created_at AS "createdAt" FROM api_keys
    WHERE org_id = $1 AND revoked_at IS NULL ORDER BY created_at DESC LIMIT 100
    """,
)
AUDIT_OF_USER = Query(
    "audit.of_user",
    """
    SELECT id, org_id AS "orgId", action, target, created_at AS "createdAt" FROM audit_logs
    WHERE user_id = $1 ORDER BY created_at DESC LIMIT 20
    """,
)
SESSIONS_OF_USER = Query(
    "sessions.of_user",
    """
    SELECT id, user_agent AS "userAgent", created_at AS "createdAt", expires_at AS "expiresAt"
    FROM sessions WHERE user_id = $1 AND expires_at > now() ORDER BY expires_at DESC LIMIT 100
    """,
)
SESSIONS_EXPIRED = Query(
    "sessions.drop_expired",
    """
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE expires_at < now() - interval '30 days'
        ORDER BY expires_at LIMIT 1000
    )
    """,
)

# What has come in lately, over all organizations: for operators.

ISSUES_SINCE = Query(
    "activity.issues",
    """
    SELECT count(*) AS issues, count(DISTINCT file_path) AS files
    FROM insight_issues WHERE created_at >= $1
    """,
)
RUNS_SINCE = Query(
    "activity.runs",
    """
    SELECT count(*) AS runs, coalesce(sum(duration_ms), 0)::bigint AS "runMs"
    FROM autopilot_runs WHERE created_at >= $1
    """,
)
TESTS_SINCE = Query(
    "activity.tests",
    """
    SELECT count(*) AS tests, coalesce(avg(performance), 0)::float AS performance
    FROM guardian_tests WHERE created_at >= $1
    """,
)
WRITES_SINCE = Query(
    "activity.writes",
    """
    SELECT count(*) AS entries, count(*) FILTER (WHERE severity <> 'INFO') AS warnings
    FROM audit_logs WHERE created_at >= $1
    """,
)
