-- Guarantees: these secrets are gone. Returns those that were there.
-- Index: secret_pkey.
delete from pgflow.secret where name = any(%(names)s::text[]) returning name
