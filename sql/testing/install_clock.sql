-- Guarantees: from now on every session's `pgflow.now()` follows the test clock of this database. For tests alone: it
-- takes the place of the engine's own function.
-- Index: none, because there is one row.
create or replace function pgflow.now() returns timestamptz
language sql stable parallel safe
as $$
    select clock_timestamp() + coalesce(nullif(current_setting('pgflow.clock_offset', true), ''), '0')::interval
           + (select ahead from pgflow.test_clock)
$$
