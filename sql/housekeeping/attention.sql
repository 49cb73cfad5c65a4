-- Guarantees: statements that add events look whether anybody waits for them if and only if somebody may.
-- Index: idle_queue, subscription_pkey (in pgflow.relax).
select pgflow.relax()
