-- Guarantees: one migrator at a time for this schema, until the transaction ends (works through a pooler too). Waits as
-- long as the other one takes: only the locks on tables, which traffic waits behind, are given up soon.
-- Index: none, because it reads no table.
select set_config('lock_timeout', '0', true),
       pg_advisory_xact_lock(hashtextextended('pgflow.migrate', 0)),
       set_config('lock_timeout', '2s', true)
