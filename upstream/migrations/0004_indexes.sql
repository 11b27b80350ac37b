-- no transaction
--
-- An index for each way in which people read the lists.  Built without making writers wait;
-- each statement may be repeated, so that a file that failed half-way goes on where it stopped.
-- What an index is for stands in tests/upstream/test_indexes.py: the query that uses it.

-- Searching parts of a text.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- A project belongs to one organization: PostgreSQL would take the two for independent, and
-- expect far too few rows where both are named.
CREATE STATISTICS IF NOT EXISTS insight_issues_org_of_project (dependencies)
    ON org_id, project_id FROM insight_issues;
CREATE STATISTICS IF NOT EXISTS autopilot_runs_org_of_project (dependencies)
    ON org_id, project_id FROM autopilot_runs;
CREATE STATISTICS IF NOT EXISTS guardian_tests_org_of_project (dependencies)
    ON org_id, project_id FROM guardian_tests;

-- Issues: by one filter, by two, and the open ones, which are what people look at.
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_org_severity_created
    ON insight_issues (org_id, severity, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_org_detector_created
    ON insight_issues (org_id, detector_type, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_org_severity_detector_created
    ON insight_issues (org_id, severity, detector_type, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_project_severity_created
    ON insight_issues (project_id, severity, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_project_detector_created
    ON insight_issues (project_id, detector_type, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_open_org_created
    ON insight_issues (org_id, created_at DESC, id DESC) WHERE resolved_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_open_org_severity_created
    ON insight_issues (org_id, severity, created_at DESC, id DESC) WHERE resolved_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_open_org_detector_created
    ON insight_issues (org_id, detector_type, created_at DESC, id DESC) WHERE resolved_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_open_project_created
    ON insight_issues (project_id, created_at DESC, id DESC) WHERE resolved_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_open_project_severity_created
    ON insight_issues (project_id, severity, created_at DESC, id DESC) WHERE resolved_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_resolved_org_created
    ON insight_issues (org_id, created_at DESC, id DESC) WHERE resolved_at IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_resolved_project_created
    ON insight_issues (project_id, created_at DESC, id DESC) WHERE resolved_at IS NOT NULL;
-- Covers: the dashboard's figures are counted from the index alone.
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_open_severity_covering
    ON insight_issues (org_id, severity) INCLUDE (project_id) WHERE resolved_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_message_trgm
    ON insight_issues USING gin (message gin_trgm_ops);
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_file_path_trgm
    ON insight_issues USING gin (file_path gin_trgm_ops);
-- Rows come in the order of their time: a few pages tell where a day lies.
CREATE INDEX CONCURRENTLY IF NOT EXISTS insight_issues_created_brin
    ON insight_issues USING brin (created_at) WITH (pages_per_range = 16);

-- Runs.
CREATE INDEX CONCURRENTLY IF NOT EXISTS autopilot_runs_org_status_created
    ON autopilot_runs (org_id, status, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS autopilot_runs_project_status_created
    ON autopilot_runs (project_id, status, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS autopilot_runs_org_trigger_created
    ON autopilot_runs (org_id, trigger, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS autopilot_runs_project_trigger_created
    ON autopilot_runs (project_id, trigger, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS autopilot_runs_success_org_created
    ON autopilot_runs (org_id, created_at DESC, id DESC) WHERE status = 'success';
CREATE INDEX CONCURRENTLY IF NOT EXISTS autopilot_runs_queued_project_created
    ON autopilot_runs (project_id, created_at DESC, id DESC) WHERE status = 'queued';
CREATE INDEX CONCURRENTLY IF NOT EXISTS autopilot_runs_created_brin
    ON autopilot_runs USING brin (created_at) WITH (pages_per_range = 16);

-- Tests.
CREATE INDEX CONCURRENTLY IF NOT EXISTS guardian_tests_url_created
    ON guardian_tests (url, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS guardian_tests_failed_org_created
    ON guardian_tests (org_id, created_at DESC, id DESC) WHERE status = 'failed';
CREATE INDEX CONCURRENTLY IF NOT EXISTS guardian_tests_failed_project_created
    ON guardian_tests (project_id, created_at DESC, id DESC) WHERE status = 'failed';
CREATE INDEX CONCURRENTLY IF NOT EXISTS guardian_tests_url_trgm
    ON guardian_tests USING gin (url gin_trgm_ops);
CREATE INDEX CONCURRENTLY IF NOT EXISTS guardian_tests_created_brin
    ON guardian_tests USING brin (created_at) WITH (pages_per_range = 16);

-- Projects.
CREATE INDEX CONCURRENTLY IF NOT EXISTS projects_org_status_created
    ON projects (org_id, status, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS projects_org_language_created
    ON projects (org_id, language, created_at DESC, id DESC);

-- The audit log: whose, which, what about, and what went wrong.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_logs_org_created_id
    ON audit_logs (org_id, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_logs_org_user_created
    ON audit_logs (org_id, user_id, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_logs_org_action_created
    ON audit_logs (org_id, action, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_logs_org_target_created
    ON audit_logs (org_id, target, created_at DESC, id DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_logs_grave_org_created
    ON audit_logs (org_id, created_at DESC, id DESC) WHERE severity IN ('ERROR', 'CRITICAL');
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_logs_created_brin
    ON audit_logs USING brin (created_at) WITH (pages_per_range = 16);

-- Keys and sessions that count.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS api_keys_active_hash
    ON api_keys (key_hash) WHERE revoked_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS api_keys_active_user_org_created
    ON api_keys (user_id, org_id, created_at DESC) WHERE revoked_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_expires
    ON sessions (expires_at);
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS users_active_email
    ON users (email) WHERE active;
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_active_org_created
    ON users (org_id, created_at DESC) WHERE active;

-- Rollups: the busiest projects are counted from the index alone.
CREATE INDEX CONCURRENTLY IF NOT EXISTS analytics_rollups_org_day_found
    ON analytics_rollups (org_id, day) INCLUDE (project_id, issues_found);

-- What the new ones begin with.
DROP INDEX CONCURRENTLY IF EXISTS audit_logs_org_created;
DROP INDEX CONCURRENTLY IF EXISTS analytics_rollups_org_day;
-- What only those that count need: an address is free again when its account is closed.
DROP INDEX CONCURRENTLY IF EXISTS users_email;
ALTER TABLE api_keys DROP CONSTRAINT IF EXISTS api_keys_key_hash_key;
-- What no query asks for.
DROP INDEX CONCURRENTLY IF EXISTS api_keys_user_created;
DROP INDEX CONCURRENTLY IF EXISTS memberships_org;
