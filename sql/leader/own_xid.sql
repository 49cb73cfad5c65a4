-- Guarantees: a transaction id above that of every transaction that took a seq before last_seq was read.
-- Index: none, because it reads no table.
select pg_current_xact_id()::text::bigint
