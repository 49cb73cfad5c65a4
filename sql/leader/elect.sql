-- Guarantees: at most one connection leads: the one that holds this session's lock. Losing the connection loses both
-- the lock and the means to act.
-- Index: none, because it reads no table.
select pg_try_advisory_lock(hashtextextended('pgflow.leader', 0))
