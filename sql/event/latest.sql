-- Guarantees: below which transaction every event's place in the order (xid, id) is final.
-- Index: none, because it reads no table.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint
