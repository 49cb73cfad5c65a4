-- Guarantees: one migrator at a time for this schema, until the transaction ends (works through a pooler too).
-- Index: none.
select pg_advisory_xact_lock(hashtextextended('pgflow.migrate', 0))
