-- What changed rows make wrong in caches, as the cache groups that answers name (RFC 9875):
-- an outbox, written in the transaction that changes the rows, so that whoever changes them,
-- through the hub or behind its back, is heard, and a transaction that is rolled back is not.
--
-- A reader keeps the xmin of the last snapshot it read under, and asks for everything from
-- transactions that are not older: so a transaction that began early and committed late is
-- seen as soon as it has committed, and never missed.

CREATE TABLE cache_invalidations (
    txid        bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    groups      text[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (txid, id)
);
COMMENT ON COLUMN cache_invalidations.groups IS 'as in Cache-Groups; * is all there is';

CREATE TABLE cache_invalidations_trimmed (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    txid      bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN cache_invalidations_trimmed.txid IS
    'rows of transactions up to this one are gone: who has read less has missed some';
INSERT INTO cache_invalidations_trimmed DEFAULT VALUES;

CREATE FUNCTION note_cache_invalidation(changed text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    upto bigint;
BEGIN
    IF changed IS NULL OR cardinality(changed) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO cache_invalidations (groups)
        VALUES (CASE WHEN cardinality(changed) > 2000 THEN ARRAY['*'] ELSE changed END)
        RETURNING id INTO number;
    NOTIFY cache_invalidations;
    -- Now and then, what every reader had an hour to read goes; one at a time, or not now.
    IF number % 1000 = 0 AND pg_try_advisory_xact_lock(4875, 5) THEN
        WITH gone AS (
            DELETE FROM cache_invalidations
                WHERE created_at < clock_timestamp() - interval '1 hour' RETURNING txid
        )
        SELECT max(txid) INTO upto FROM gone;
        IF upto IS NOT NULL THEN
            UPDATE cache_invalidations_trimmed SET txid = upto WHERE txid < upto;
        END IF;
    END IF;
END
$$;

-- Statement by statement, with what changed as a table: ten thousand rows are one note.

CREATE FUNCTION note_changed_rows_of_orgs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM note_cache_invalidation(
            (SELECT array_agg(DISTINCT 'org:' || org_id) FROM after_change));
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM note_cache_invalidation(
            (SELECT array_agg(DISTINCT 'org:' || org_id) FROM before_change));
    ELSE
        PERFORM note_cache_invalidation((
            SELECT array_agg(DISTINCT 'org:' || org_id)
                FROM (SELECT org_id FROM before_change UNION SELECT org_id FROM after_change) AS c));
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION note_changed_organizations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM note_cache_invalidation(
            (SELECT array_agg('org:' || id) FROM before_change));
    ELSE
        -- changed_at alone is set by each write of the hub, which says itself what it changed.
        PERFORM note_cache_invalidation((
            SELECT array_agg('org:' || n.id) FROM after_change AS n JOIN before_change AS o USING (id)
                WHERE (o.slug, o.name, o.plan) IS DISTINCT FROM (n.slug, n.name, n.plan)));
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION note_changed_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM note_cache_invalidation(
            (SELECT array_agg(DISTINCT 'user:' || user_id) FROM after_change));
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM note_cache_invalidation(
            (SELECT array_agg(DISTINCT 'user:' || user_id) FROM before_change));
    ELSE
        PERFORM note_cache_invalidation((
            SELECT array_agg(DISTINCT 'user:' || user_id)
                FROM (SELECT user_id FROM before_change UNION SELECT user_id FROM after_change) AS c));
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION note_changed_articles() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Lists of a section, its articles, and the home page name the section.
    IF TG_OP = 'INSERT' THEN
        PERFORM note_cache_invalidation(
            (SELECT array_agg(DISTINCT section) FROM after_change));
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM note_cache_invalidation(
            (SELECT array_agg(DISTINCT section) FROM before_change));
    ELSE
        PERFORM note_cache_invalidation((
            SELECT array_agg(DISTINCT section)
                FROM (SELECT section FROM before_change UNION SELECT section FROM after_change) AS c));
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION note_emptied_table() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_cache_invalidation(ARRAY['*']);
    RETURN NULL;
END
$$;

DO $$
DECLARE
    kind record;
BEGIN
    FOR kind IN
        SELECT * FROM (VALUES
            ('projects', 'note_changed_rows_of_orgs'),
            ('insight_issues', 'note_changed_rows_of_orgs'),
            ('autopilot_runs', 'note_changed_rows_of_orgs'),
            ('guardian_tests', 'note_changed_rows_of_orgs'),
            ('analytics_rollups', 'note_changed_rows_of_orgs'),
            ('subscriptions', 'note_changed_rows_of_orgs'),
            ('memberships', 'note_changed_members'),
            ('organizations', 'note_changed_organizations'),
            ('articles', 'note_changed_articles')
        ) AS k (table_name, function_name)
    LOOP
        -- A new organization is in nobody's answer yet.
        IF kind.table_name <> 'organizations' THEN
            EXECUTE format('CREATE TRIGGER notes_inserts AFTER INSERT ON %I REFERENCING NEW TABLE AS'
                ' after_change FOR EACH STATEMENT EXECUTE FUNCTION %I()',
                kind.table_name, kind.function_name);
        END IF;
        EXECUTE format('CREATE TRIGGER notes_updates AFTER UPDATE ON %I REFERENCING OLD TABLE AS'
            ' before_change NEW TABLE AS after_change FOR EACH STATEMENT EXECUTE FUNCTION %I()',
            kind.table_name, kind.function_name);
        EXECUTE format('CREATE TRIGGER notes_deletes AFTER DELETE ON %I REFERENCING OLD TABLE AS'
            ' before_change FOR EACH STATEMENT EXECUTE FUNCTION %I()',
            kind.table_name, kind.function_name);
        EXECUTE format('CREATE TRIGGER notes_emptying AFTER TRUNCATE ON %I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION note_emptied_table()', kind.table_name);
    END LOOP;
END
$$;
