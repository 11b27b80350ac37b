-- The demo data: some 50,000 rows, the same on every machine.
--
-- Chance comes from MD5 of a salt and a row number, so it depends neither on the server's
-- version nor on the order of evaluation, and time counts back from one fixed instant.
-- Organizations differ as customers do: the first ones hold most of everything.
-- Session and key hashes are random-looking bytes that no known token hashes to.

CREATE FUNCTION pg_temp.chance(salt text, n bigint) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (('x' || substr(md5(salt || n), 1, 8))::bit(32)::bigint & 4294967295) / 4294967296.0::double precision;

CREATE FUNCTION pg_temp.pick(salt text, n bigint, VARIADIC choices text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN choices[1 + floor(pg_temp.chance(salt, n) * cardinality(choices))::int];

CREATE FUNCTION pg_temp.before(days double precision) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '2026-11-01T00:00:00Z'::timestamptz - days * '1 day'::interval;

INSERT INTO organizations (id, slug, name, plan, created_at, updated_at)
SELECT n,
       CASE n WHEN 1 THEN 'acme' WHEN 2 THEN 'globex' WHEN 3 THEN 'initech' ELSE lower(word) || '-' || n END,
       CASE n WHEN 1 THEN 'Acme' WHEN 2 THEN 'Globex' WHEN 3 THEN 'Initech'
              ELSE word || ' ' || pg_temp.pick('org-kind', n, 'Labs', 'Systems', 'Software', 'Works', 'Cloud') END,
       CASE WHEN n <= 3 THEN 'enterprise' WHEN n <= 12 THEN 'business' WHEN n <= 35 THEN 'team' ELSE 'free' END,
       pg_temp.before(900 - n * 10), pg_temp.before(900 - n * 10)
FROM generate_series(1, 60) AS n,
     LATERAL (SELECT pg_temp.pick('org-name', n, 'Aurora', 'Bluefin', 'Cobalt', 'Driftwood', 'Ember',
         'Fathom', 'Granite', 'Harbor', 'Juniper', 'Keystone', 'Lumen', 'Meridian') AS word) AS named;

-- The demo people come first; $password$ is replaced by the hash of their public password.
INSERT INTO users (id, org_id, email, name, password_hash, created_at)
VALUES (1, 1, 'ada@acme.test', 'Ada Byron', '$password$', pg_temp.before(880)),
       (2, 1, 'ben@acme.test', 'Ben Okafor', '$password$', pg_temp.before(700)),
       (3, 2, 'grace@globex.test', 'Grace Lindqvist', '$password$', pg_temp.before(870)),
       (4, 3, 'alan@initech.test', 'Alan Moreau', '$password$', pg_temp.before(860));

INSERT INTO users (id, org_id, email, name, password_hash, active, created_at)
SELECT n, org.id, 'user' || n || '@' || org.slug || '.test',
       pg_temp.pick('first', n, 'Mina', 'Jonas', 'Priya', 'Tomas', 'Leila', 'Marc', 'Yuki', 'Nora', 'Sam', 'Ines')
           || ' ' || pg_temp.pick('last', n, 'Alvarez', 'Berg', 'Chen', 'Diallo', 'Evans', 'Fischer', 'Haddad', 'Ito'),
       '$password$', pg_temp.chance('active', n) > 0.05,
       org.created_at + pg_temp.chance('joined', n) * (pg_temp.before(0) - org.created_at)
FROM generate_series(5, 1500) AS n
JOIN organizations AS org ON org.id = 1 + floor(60 * pg_temp.chance('user-org', n) ^ 2.2)::int;

INSERT INTO memberships (user_id, org_id, role, created_at)
SELECT id, org_id,
       CASE WHEN id IN (1, 3, 4) THEN 'owner'
            ELSE pg_temp.pick('role', id, 'admin', 'member', 'member', 'member', 'viewer') END,
       created_at
FROM users
UNION ALL
SELECT id, 1 + (org_id + 6) % 60, 'member', created_at FROM users WHERE id > 4 AND id % 8 = 0
UNION ALL
SELECT 1, 2, 'member', pg_temp.before(400);

INSERT INTO projects (id, org_id, slug, name, language, repository_url, status, created_at, updated_at)
SELECT n, org.id, area || '-' || kind || '-' || n, initcap(area) || ' ' || initcap(kind),
       pg_temp.pick('language', n, 'TypeScript', 'Python', 'Go', 'Rust', 'Java'),
       'https://git.' || org.slug || '.test/' || area || '-' || kind,
       CASE WHEN pg_temp.chance('archived', n) < 0.08 THEN 'archived' ELSE 'active' END,
       born, born + pg_temp.chance('touched', n) * (pg_temp.before(0) - born)
FROM generate_series(1, 420) AS n
JOIN organizations AS org
    ON org.id = CASE WHEN n <= 60 THEN n ELSE 1 + floor(60 * pg_temp.chance('project-org', n) ^ 2.5)::int END,
LATERAL (SELECT pg_temp.pick('area', n, 'checkout', 'search', 'billing', 'mobile', 'identity', 'catalog', 'support') AS area,
                pg_temp.pick('kind', n, 'api', 'web', 'worker', 'gateway', 'console') AS kind,
                pg_temp.before(30 + 500 * pg_temp.chance('born', n)) AS born) AS made;

-- A project's share of the work falls with its number; numbers are spread by the join above.
-- Rows come in the order of their time, as they do in life.
INSERT INTO insight_issues (org_id, project_id, detector_type, severity, message, file_path, line, resolved_at, created_at)
SELECT project.org_id, project.id, detector,
       CASE WHEN dice < 0.05 THEN 'critical' WHEN dice < 0.2 THEN 'high' WHEN dice < 0.55 THEN 'medium' ELSE 'low' END,
       CASE detector
           WHEN 'security' THEN pg_temp.pick('message', n, 'Secret committed to the repository', 'Query built from user input', 'Cookie without the Secure attribute')
           WHEN 'performance' THEN pg_temp.pick('message', n, 'Query inside a loop', 'List rendered without pagination', 'Image larger than its frame')
           WHEN 'complexity' THEN pg_temp.pick('message', n, 'Function with more than 12 branches', 'Module imported in a cycle', 'Class with too many duties')
           WHEN 'dependency' THEN pg_temp.pick('message', n, 'Dependency with a known vulnerability', 'Dependency unused', 'Dependency two major versions behind')
           ELSE pg_temp.pick('message', n, 'Promise not awaited', 'Condition is always true', 'Value may be null here') END,
       'src/' || pg_temp.pick('folder', n, 'api', 'core', 'ui', 'jobs', 'lib') || '/'
           || pg_temp.pick('file', n, 'session', 'orders', 'index', 'client', 'schema', 'export', 'queue') || '.'
           || CASE project.language WHEN 'TypeScript' THEN 'ts' WHEN 'Python' THEN 'py' WHEN 'Go' THEN 'go' WHEN 'Rust' THEN 'rs' ELSE 'java' END,
       1 + floor(900 * pg_temp.chance('line', n))::int,
       CASE WHEN pg_temp.chance('resolved', n) < 0.62 AND fixed < pg_temp.before(0) THEN fixed END,
       pg_temp.before(age)
FROM generate_series(1, 17000) AS n
JOIN projects AS project ON project.id = 1 + floor(420 * pg_temp.chance('issue-project', n) ^ 1.6)::int,
LATERAL (SELECT pg_temp.pick('detector', n, 'security', 'performance', 'complexity', 'dependency', 'correctness') AS detector,
                pg_temp.chance('severity', n) AS dice,
                180 * pg_temp.chance('age', n) ^ 1.5 AS age) AS made,
LATERAL (SELECT pg_temp.before(age) + pg_temp.chance('fixed', n) * '9 days'::interval AS fixed) AS mended
ORDER BY age DESC, n;

INSERT INTO autopilot_runs (org_id, project_id, status, trigger, files_changed, issues_fixed, duration_ms, created_at)
SELECT project.org_id, project.id, outcome,
       pg_temp.pick('trigger', n, 'schedule', 'schedule', 'push', 'push', 'manual'),
       CASE WHEN outcome = 'success' THEN 1 + floor(24 * pg_temp.chance('files', n))::int ELSE 0 END,
       CASE WHEN outcome = 'success' THEN floor(15 * pg_temp.chance('fixes', n))::int ELSE 0 END,
       CASE WHEN outcome IN ('success', 'failed') THEN 4000 + floor(240000 * pg_temp.chance('run-time', n) ^ 3)::int END,
       pg_temp.before(age)
FROM generate_series(1, 8000) AS n
JOIN projects AS project ON project.id = 1 + floor(420 * pg_temp.chance('run-project', n) ^ 1.6)::int,
LATERAL (SELECT 180 * pg_temp.chance('run-age', n) ^ 1.3 AS age) AS aged,
LATERAL (SELECT CASE WHEN age < 0.1 THEN pg_temp.pick('state', n, 'queued', 'running')
                     WHEN pg_temp.chance('run-luck', n) < 0.87 THEN 'success' ELSE 'failed' END AS outcome) AS made
ORDER BY age DESC, n;

INSERT INTO guardian_tests (org_id, project_id, url, status, performance, accessibility, security, duration_ms, created_at)
SELECT project.org_id, project.id, 'https://' || project.slug || '.test' || pg_temp.pick('page', n, '/', '/login', '/pricing', '/cart', '/search'),
       CASE WHEN pg_temp.chance('test-luck', n) < 0.12 THEN 'failed' ELSE 'passed' END,
       55 + floor(46 * pg_temp.chance('performance', n))::int,
       70 + floor(31 * pg_temp.chance('accessibility', n))::int,
       60 + floor(41 * pg_temp.chance('security', n))::int,
       900 + floor(30000 * pg_temp.chance('test-time', n) ^ 2)::int,
       pg_temp.before(180 * pg_temp.chance('test-age', n) ^ 1.3) AS made
FROM generate_series(1, 6000) AS n
JOIN projects AS project ON project.id = 1 + floor(420 * pg_temp.chance('test-project', n) ^ 1.6)::int
ORDER BY made, n;

-- Past logins: all of them ran out before the demo begins.
INSERT INTO sessions (token_hash, user_id, org_id, user_agent, created_at, expires_at)
SELECT decode(md5('session' || n) || md5('of nobody' || n), 'hex'), u.id, u.org_id, 'Mozilla/5.0',
       started, started + '7 days'::interval
FROM generate_series(1, 800) AS n
JOIN users AS u ON u.id = 1 + floor(1500 * pg_temp.chance('session-user', n) ^ 2)::int,
LATERAL (SELECT pg_temp.before(10 + 80 * pg_temp.chance('session-age', n)) AS started) AS made;

INSERT INTO api_keys (org_id, user_id, name, prefix, key_hash, created_at, revoked_at)
SELECT u.org_id, u.id, pg_temp.pick('key-name', n, 'CI', 'Staging', 'Editor plugin', 'Nightly report'),
       'hub_' || substr(md5('prefix' || n), 1, 6),
       decode(md5('key' || n) || md5('of nobody' || n), 'hex'), made,
       CASE WHEN pg_temp.chance('revoked', n) < 0.25 THEN made + '20 days'::interval END
FROM generate_series(1, 250) AS n
JOIN users AS u ON u.id = 5 + floor(1490 * pg_temp.chance('key-user', n) ^ 2)::int,
LATERAL (SELECT pg_temp.before(21 + 200 * pg_temp.chance('key-age', n)) AS made) AS dated;

INSERT INTO audit_logs (org_id, user_id, action, severity, target, created_at)
SELECT u.org_id, u.id, action,
       CASE WHEN action = 'auth.failed' THEN 'WARNING' WHEN action = 'export.failed' THEN 'ERROR' ELSE 'INFO' END,
       CASE WHEN action LIKE 'project.%' THEN 'project:' || n % 420 + 1 ELSE 'user:' || u.id END,
       pg_temp.before(180 * pg_temp.chance('audit-age', n)) AS made
FROM generate_series(1, 4000) AS n
JOIN users AS u ON u.id = 1 + floor(1500 * pg_temp.chance('audit-user', n) ^ 2)::int,
LATERAL (SELECT pg_temp.pick('action', n, 'auth.login', 'auth.login', 'auth.logout', 'auth.failed',
    'project.update', 'project.create', 'api_key.create', 'export.failed') AS action) AS acted
ORDER BY made, n;

-- The rollups are what they claim to be: counts over the rows above, of the last 60 days.
INSERT INTO analytics_rollups (org_id, project_id, day, issues_found, issues_resolved, runs, runs_succeeded, tests, tests_failed)
SELECT org_id, project_id, day, sum(found), sum(resolved), sum(runs), sum(succeeded), sum(tests), sum(failed)
FROM (
    SELECT org_id, project_id, (created_at AT TIME ZONE 'UTC')::date AS day,
           1 AS found, 0 AS resolved, 0 AS runs, 0 AS succeeded, 0 AS tests, 0 AS failed FROM insight_issues
    UNION ALL
    SELECT org_id, project_id, (resolved_at AT TIME ZONE 'UTC')::date, 0, 1, 0, 0, 0, 0
    FROM insight_issues WHERE resolved_at IS NOT NULL
    UNION ALL
    SELECT org_id, project_id, (created_at AT TIME ZONE 'UTC')::date, 0, 0, 1, (status = 'success')::int, 0, 0 FROM autopilot_runs
    UNION ALL
    SELECT org_id, project_id, (created_at AT TIME ZONE 'UTC')::date, 0, 0, 0, 0, 1, (status = 'failed')::int FROM guardian_tests
) AS happened
WHERE day >= '2026-11-01'::date - 60
GROUP BY org_id, project_id, day;

INSERT INTO subscriptions (org_id, customer_id, plan, status, seats, current_period_end, updated_at)
SELECT id, 'cus_' || substr(md5('customer' || id), 1, 14), plan,
       CASE WHEN id > 3 AND pg_temp.chance('pays', id) < 0.1 THEN 'past_due' ELSE 'active' END,
       CASE plan WHEN 'free' THEN 3 WHEN 'team' THEN 15 WHEN 'business' THEN 60 ELSE 500 END,
       pg_temp.before(-(5 + 25 * pg_temp.chance('period', id))), pg_temp.before(3)
FROM organizations;

-- Rows were given their numbers above: the counters go on after them.
SELECT setval(pg_get_serial_sequence('organizations', 'id'), max(id)) FROM organizations;
SELECT setval(pg_get_serial_sequence('users', 'id'), max(id)) FROM users;
SELECT setval(pg_get_serial_sequence('projects', 'id'), max(id)) FROM projects;

-- Last changed when the demo's time stands still.
UPDATE organizations SET changed_at = pg_temp.before(0);
