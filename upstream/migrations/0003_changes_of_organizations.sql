-- When anything of an organization was last changed through the hub.  Every write sets it in
-- its own transaction, so writes of one organization take turns: the numbers of their audit
-- rows rise in the order in which they become visible, which is what a reader of live updates
-- who comes back counts on.

ALTER TABLE organizations ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN organizations.changed_at IS
    'becomes Last-Modified; whoever changes rows behind the hub''s back sets it too';

ALTER TABLE sessions ADD COLUMN acting_since timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN sessions.acting_since IS
    'since when the session acts in its organization: no older answer is an answer to it';
