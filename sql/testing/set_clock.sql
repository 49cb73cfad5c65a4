-- Guarantees: from now on this session's `pgflow.now()` is so many seconds ahead of the database's clock.
-- Index: none, because it touches no table.
select set_config('pgflow.clock_offset', %(seconds)s::float8 || ' s', false)
