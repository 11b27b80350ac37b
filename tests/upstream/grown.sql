-- What a few years add to the demo's data.
INSERT INTO insight_issues (org_id, project_id, detector_type, severity, message, file_path, line, resolved_at, created_at)
SELECT org_id, project_id, detector_type, severity, message || ' (' || n || ')', file_path, line,
       resolved_at + shift, created_at + shift
FROM insight_issues, generate_series(1, 4) AS n, LATERAL (SELECT n * interval '181 days') AS s (shift)
ORDER BY created_at + shift;
INSERT INTO autopilot_runs (org_id, project_id, status, trigger, files_changed, issues_fixed, duration_ms, created_at)
SELECT org_id, project_id, status, trigger, files_changed, issues_fixed, duration_ms, created_at + shift
FROM autopilot_runs, generate_series(1, 4) AS n, LATERAL (SELECT n * interval '181 days') AS s (shift)
ORDER BY created_at + shift;
INSERT INTO guardian_tests (org_id, project_id, url, status, performance, accessibility, security, duration_ms, created_at)
SELECT org_id, project_id, url, status, performance, accessibility, security, duration_ms, created_at + shift
FROM guardian_tests, generate_series(1, 4) AS n, LATERAL (SELECT n * interval '181 days') AS s (shift)
ORDER BY created_at + shift;
INSERT INTO audit_logs (org_id, user_id, action, severity, target, created_at)
SELECT org_id, user_id, action, severity, target, created_at + shift
FROM audit_logs, generate_series(1, 6) AS n, LATERAL (SELECT n * interval '181 days') AS s (shift)
ORDER BY created_at + shift;
INSERT INTO sessions (token_hash, user_id, org_id, user_agent, created_at, expires_at)
SELECT sha256(n::text::bytea), 1 + n % 1500, 1, 'Mozilla/5.0', now(), now() + interval '7 days'
FROM generate_series(1, 20000) AS n;
INSERT INTO api_keys (org_id, user_id, name, prefix, key_hash, created_at, revoked_at)
SELECT 1 + n % 60, 1 + n % 1500, 'CI', 'hub_', sha256(n::text::bytea), now(), CASE WHEN n % 3 = 0 THEN now() END
FROM generate_series(1, 20000) AS n;
