-- Rows for bench/db_proof.py; {issues} and so on are filled in there.
SET synchronous_commit = off;
INSERT INTO organizations (id, slug, name, plan) SELECT n, 'org-' || n, 'Org ' || n, 'team'
FROM generate_series(61, {orgs}) AS n;
INSERT INTO projects (id, org_id, slug, name, language, status)
SELECT n, 1 + n % {orgs}, 'project-' || n, 'Project ' || n, 'Python', 'active'
FROM generate_series(421, {projects}) AS n;
INSERT INTO insight_issues (org_id, project_id, detector_type, severity, message, file_path, line, resolved_at, created_at)
SELECT p.org_id, p.id,
       (ARRAY['security', 'performance', 'complexity', 'dependency', 'correctness'])[1 + n % 5],
       CASE WHEN r < 0.05 THEN 'critical' WHEN r < 0.2 THEN 'high' WHEN r < 0.55 THEN 'medium' ELSE 'low' END,
       'Finding ' || n, 'src/core/file' || n % 900 || '.py', 1 + n % 900,
       CASE WHEN n % 8 < 5 THEN made + interval '2 days' END, made
FROM generate_series(1, {issues}) AS n,
LATERAL (SELECT random() AS r, 1 + floor({projects} * random() ^ 1.6)::bigint AS project,
                timestamptz '2025-01-01' + n * (interval '600 days' / {issues}) AS made) AS drawn
JOIN projects AS p ON p.id = drawn.project;
INSERT INTO autopilot_runs (org_id, project_id, status, trigger, files_changed, issues_fixed, duration_ms, created_at)
SELECT p.org_id, p.id, CASE WHEN n % 8 = 0 THEN 'failed' ELSE 'success' END,
       (ARRAY['schedule', 'push', 'manual'])[1 + n % 3], n % 20, n % 15, n % 90000, made
FROM generate_series(1, {issues} / 2) AS n,
LATERAL (SELECT 1 + floor({projects} * random() ^ 1.6)::bigint AS project,
                timestamptz '2025-01-01' + n * (interval '600 days' / ({issues} / 2)) AS made) AS drawn
JOIN projects AS p ON p.id = drawn.project;
INSERT INTO guardian_tests (org_id, project_id, url, status, performance, accessibility, security, duration_ms, created_at)
SELECT p.org_id, p.id, 'https://' || p.slug || '.test/' || n % 5, CASE WHEN n % 9 = 0 THEN 'failed' ELSE 'passed' END,
       50 + n % 50, 60 + n % 40, 60 + n % 40, n % 30000, made
FROM generate_series(1, {issues} / 3) AS n,
LATERAL (SELECT 1 + floor({projects} * random() ^ 1.6)::bigint AS project,
                timestamptz '2025-01-01' + n * (interval '600 days' / ({issues} / 3)) AS made) AS drawn
JOIN projects AS p ON p.id = drawn.project
