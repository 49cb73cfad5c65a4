-- Guarantees: every secret by name, without what it holds.
-- Index: secret_pkey, read whole.
select name, key_id, version, created_at, changed_at, actor from pgflow.secret order by name
