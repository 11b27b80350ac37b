"""The queries of writes, and of those who want to hear about them."""

from upstream.queries import Query

WRITE_RECORDED = Query(
    "audit.write_recorded",
    """
    WITH touched AS (
        UPDATE organizations SET changed_at = clock_timestamp() WHERE id = $1 RETURNING id
    )
    INSERT INTO audit_logs (org_id, user_id, action, severity, target)
    SELECT id, $2, $3, $4, $5 FROM touched
    RETURNING id
    """,
)
"""The organization's row is locked first: see migration 0030."""

_ISSUE_STATE = """
    i.id, i.project_id AS "projectId", i.resolved_at AS "resolvedAt",
    CASE WHEN i.resolved_at IS NULL THEN 'open' ELSE 'resolved' END AS status
"""
ISSUE_LOCK = Query(
    "insight.lock_issue",
    f"SELECT {_ISSUE_STATE} FROM insight_issues AS i"  # noqa: S608 - constants of this module only
    " WHERE i.id = $1 AND i.org_id = $2 FOR NO KEY UPDATE",
)
ISSUE_RESOLVE = Query(
    "insight.resolve_issue",
    f"""
    UPDATE insight_issues AS i SET resolved_at = now() WHERE i.id = $1 AND i.org_id = $2
    RETURNING {_ISSUE_STATE}
    """,  # noqa: S608 - constants of this module only
)
ISSUE_REOPEN = Query(
    "insight.reopen_issue",
    f"""
    UPDATE insight_issues AS i SET resolved_at = NULL WHERE i.id = $1 AND i.org_id = $2
    RETURNING {_ISSUE_STATE}
    """,  # noqa: S608 - constants of this module only
)
RUN_PROJECT_LOCK = Query(
    "autopilot.lock_project",
    "SELECT p.status FROM projects AS p WHERE p.id = $1 AND p.org_id = $2 FOR NO KEY UPDATE",
)
RUN_WAITING = Query(
    "autopilot.run_waiting",
    """
    SELECT r.id FROM autopilot_runs AS r
    WHERE r.project_id = $1 AND r.org_id = $2 AND r.status = 'queued'
    ORDER BY r.created_at DESC, r.id DESC LIMIT 1
    """,
)
RUN_START = Query(
    "autopilot.start_run",
    """
    INSERT INTO autopilot_runs AS r (org_id, project_id, status, trigger)
    VALUES ($2, $1, 'queued', 'manual')
    RETURNING r.id, r.project_id AS "projectId", r.status, r.trigger, r.created_at AS "createdAt"
    """,
)

# The rollups count what happened on a day (UTC), so a write counts itself.

ROLLUP_RESOLVED = Query(
    "analytics.rollup_resolved",
    """
    INSERT INTO analytics_rollups AS a (org_id, project_id, day, issues_resolved)
    VALUES ($1, $2, ($3::timestamptz AT TIME ZONE 'UTC')::date, 1)
    ON CONFLICT (org_id, project_id, day) DO UPDATE SET issues_resolved = a.issues_resolved + 1
    """,
)
ROLLUP_REOPENED = Query(
    "analytics.rollup_reopened",
    """
    UPDATE analytics_rollups SET issues_resolved = greatest(issues_resolved - 1, 0)
    WHERE org_id = $1 AND project_id = $2 AND day = ($3::timestamptz AT TIME ZONE 'UTC')::date
    """,
)
ROLLUP_RUN = Query(
    "analytics.rollup_run",
    """
    INSERT INTO analytics_rollups AS a (org_id, project_id, day, runs)
    VALUES ($1, $2, (now() AT TIME ZONE 'UTC')::date, 1)
    ON CONFLICT (org_id, project_id, day) DO UPDATE SET runs = a.runs + 1
    """,
)

ORGANIZATIONS_CHANGED = Query(
    "organizations.changed",
    """
    SELECT max(o.changed_at) FROM memberships AS m JOIN organizations AS o ON o.id = m.org_id
    WHERE m.user_id = $1
    """,
)

# What the dashboard lets people choose from.

PROJECTS_TO_CHOOSE = Query(
    "projects.to_choose",
    """
    SELECT p.id, p.name FROM projects AS p WHERE p.org_id = $1
    ORDER BY p.created_at DESC, p.id DESC LIMIT 200
    """,
)

# What a reader of live updates missed: the audit log is the record of events.

EVENTS_NEWEST = Query(
    "events.newest",
    """
    SELECT id FROM audit_logs WHERE org_id = $1 AND action NOT LIKE 'auth.%'
    ORDER BY created_at DESC, id DESC LIMIT 1
    """,
)
EVENT_AT = Query("events.at", "SELECT created_at FROM audit_logs WHERE org_id = $1 AND id = $2")
EVENTS_AFTER = Query(
    "events.after",
    """
    SELECT id, action, target FROM audit_logs
    WHERE org_id = $1 AND id > $2 AND created_at > $3::timestamptz - interval '15 seconds'
      AND action NOT LIKE 'auth.%'
    ORDER BY created_at, id LIMIT $4
    """,
)
"""A row's date is when its transaction began, its number when it was written: 15 seconds are
more than a transaction takes."""
