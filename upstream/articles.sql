-- What the blog and the documentation say.  Paragraphs are parted by empty lines, "## " opens
-- a heading, four spaces open code; the pages escape everything else.

INSERT INTO articles (section, slug, title, summary, author, published_at, body) VALUES
('docs', 'getting-started', 'Getting started', 'From an account to a first analysed project in five minutes.', 'The hub team', '2026-08-03T09:00:00Z',
$body$An organization owns projects, and a project is one repository. Insight finds issues in it, Autopilot repairs what can be repaired safely, Guardian tests the running product.

## Log in

Send your address and password as JSON. The answer sets two cookies: the session, and a short-lived token that names your organization.

    curl -c jar -H 'Content-Type: application/json' \
      -d '{"email":"ada@acme.test","password":"demo-password"}' /api/auth/login

## Create a project

    curl -b jar -H 'Content-Type: application/json' \
      -d '{"name":"Checkout Web","language":"TypeScript"}' /api/projects

The first analysis starts with the next push. Its findings appear on the dashboard, and at insight.getIssues.$body$),
('docs', 'authentication', 'Authentication', 'Sessions for people, API keys for machines.', 'The hub team', '2026-08-03T09:05:00Z',
$body$Browsers use the session cookie. It can't be read by scripts, travels only with requests of our own pages, and ends after seven days or at logout.

## The organization token

Beside the session you receive org_token, a JSON Web Token signed with Ed25519. It names your user and your organization and is valid for an hour; /api/auth/session renews it. Its public keys are published at /.well-known/jwks.json.

## API keys

Machines send a key instead. A key belongs to one organization, is shown once when you create it, and can be revoked at any time.

    curl -H 'Authorization: Bearer hub_...' /api/projects$body$),
('docs', 'pagination', 'Pagination and filters', 'How to walk through long lists without missing a row.', 'The hub team', '2026-08-11T10:00:00Z',
$body$Every list takes page and limit. The limit is 20 unless you say otherwise and at most 100; a larger one is refused, so that you notice.

## Cursors

Pages shift when new rows arrive. A cursor doesn't: pass the nextCursor of one answer to the next request, together with the same filters, and no row is skipped or repeated.

    /api/projects?limit=50
    /api/projects?limit=50&cursor=...

## Filters and search

Lists take since and until, instants such as 2026-10-01T00:00:00Z, and what fits their rows: status, severity, detector, trigger, language. The parameter search finds a part of a text, whatever its case.

## What comes back

The pagination object tells page, limit, total, totalPages, hasNext, hasPrevious and nextCursor.$body$),
('docs', 'trpc', 'The tRPC procedures', 'Four reads, three writes, one wire format, and batches.', 'The hub team', '2026-08-20T08:30:00Z',
$body$insight.getIssues, autopilot.getRuns, guardian.getTests and analytics.getMetrics are read with GET. Their input is JSON in the query parameter input.

    /api/trpc/insight.getIssues?input={"severity":"critical","limit":10}

## Batches

Join procedures by commas and number their inputs. The answers come in the same order; if some succeed and some fail, the status is 207.

    /api/trpc/insight.getIssues,autopilot.getRuns?batch=1&input={"0":{"limit":5},"1":{"status":"failed"}}

## Writes

insight.resolveIssue, insight.reopenIssue and autopilot.startRun are called with POST; their input is the JSON of the body.

    curl -b jar -H 'Content-Type: application/json' \
      -d '{"issueId":7}' /api/trpc/insight.resolveIssue

All of it, with every other route, is described at /api/openapi.json.$body$),
('docs', 'live-updates', 'Live updates', 'Server-sent events and a WebSocket for what changes right now.', 'The hub team', '2026-09-02T12:00:00Z',
$body$Open /api/events as an event source or /api/ws as a WebSocket, and every change in your organization arrives within moments. A quiet connection carries a heartbeat every fifteen seconds.

## Coming back

Every event has an id. A browser sends the last one by itself when it connects again, as Last-Event-ID; a WebSocket takes it as the parameter lastEventId. What happened meanwhile arrives first, unless it is more than two hundred events.

## Missed something?

An event named resync says that changes may have been missed, for example because the database was restarted or you were away for long. Read the lists again when it comes.$body$),
('docs', 'caching', 'How fresh is an answer?', 'Lifetimes, validators and what a write clears.', 'The hub team', '2026-09-15T12:00:00Z',
$body$Lists may be a minute old, metrics and organizations five, these pages half an hour. Health, login, billing and the dashboard are never cached.

## Validators

Every answer that may be cached carries an ETag, and a Last-Modified once its newest change is ten seconds old. Send one back in If-None-Match or If-Modified-Since, and an unchanged answer costs no body.

## Writes

A successful write names what it made wrong in Cache-Group-Invalidation. A cache in front of the hub drops those groups at once, so that you read what you wrote.$body$),
('blog', 'one-dashboard', 'One dashboard for three questions', 'What is broken, what was repaired, and does the product still work?', 'Nora Ito', '2026-06-09T08:00:00Z',
$body$Teams used to keep three tabs open: one for findings, one for automated changes, one for end-to-end tests. Each had its own idea of a project.

The hub has one. A project's issues, runs and tests share a timeline, so that the Tuesday when issues rose is also the Tuesday when a release went out and two tests began to fail.

## What we left out

There is no score. A number between zero and a hundred is easy to show and hard to act on; a list of five things to do today is neither.$body$),
('blog', 'autopilot-small-changes', 'Why Autopilot makes small changes', 'A change that a person can review in a minute gets merged.', 'Tomas Berg', '2026-07-14T08:00:00Z',
$body$In spring we looked at four thousand automated changes. Those touching fewer than ten files were merged within a day. Those touching more than forty were mostly closed unread.

So Autopilot now stops early: one kind of issue, one folder, at most two dozen files. It comes back tomorrow for the rest.

## The result

Fewer files in each run, more issues repaired in a month. Reviewers asked us to keep it that way.$body$),
('blog', 'answers-while-the-database-rests', 'Answers while the database rests', 'What happens to a request when PostgreSQL restarts under it.', 'Leila Haddad', '2026-08-25T08:00:00Z',
$body$A database restarts: for an upgrade, for a failover, now and then for no good reason. We wanted nobody to notice.

The pool drops broken connections and opens new ones, reads are tried once more, and a request that finds no connection in time is told so with a Retry-After instead of waiting for ever. In front of it, a cache that has a slightly old answer sends that.

We restart the database in our tests now, in the middle of the traffic.$body$),
('blog', 'tenants-and-caches', 'Many tenants, one cache', 'An answer from a cache is a decision about who may read it.', 'Priya Chen', '2026-10-06T08:00:00Z',
$body$A cache that doesn't know who is asking will, sooner or later, tell one customer about another. Leaving the cache out is safe and slow.

We let the cache know: every login brings a signed token that names the organization, and a shared answer is stored under that name. A header that anybody can send proves nothing and is ignored.

## Trust, but compare

The hub compares too. When the token and the session disagree, the answer is still right for the person who asked, but it forbids every cache to keep it.$body$);
