-- Guarantees: every transaction below it has ended: what it inserted is visible or never will be.
-- Index: none, because it reads no table.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint
