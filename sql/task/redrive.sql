-- Guarantees: failed and cancelled tasks among these are ready again, with a full allowance of attempts; returns them.
-- Index: outcome_pkey (in pgflow.reopen).
select pgflow.reopen(%(roots)s::bigint[], %(tasks)s::bigint[], %(actor)s::text)
