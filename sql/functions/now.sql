-- Guarantees: the one clock every decision is made by: the database's, plus `pgflow.clock_offset` when a test sets it.
-- Index: none. STABLE although the clock moves, so that a comparison with it may use an index.
create or replace function pgflow.now() returns timestamptz
language sql stable parallel safe
as $$
    select clock_timestamp() + coalesce(nullif(current_setting('pgflow.clock_offset', true), ''), '0')::interval
$$;
