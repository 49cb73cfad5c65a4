-- Guarantees: the partitions of history, newest first: how big, how old, and whether a run in them is still live.
-- Columns: first_run, last_run, made_at, first_used_at, idle_since, tasks_estimate, task_bytes, outcome_bytes,
-- Columns: event_bytes, holds_back
-- Parameters: none
-- Index: partition_pkey, the catalog, and the primary keys of the places.
with sized as (
    select p.lower, p.upper, p.made_at, p.first_used_at, p.idle_since,
           to_regclass('pgflow.task_' || p.lower / (p.upper - p.lower)) as task,
           to_regclass('pgflow.outcome_' || p.lower / (p.upper - p.lower)) as outcome,
           to_regclass('pgflow.event_' || p.lower / (p.upper - p.lower)) as event
      from pgflow.partition p
), live as materialized (
    select p.root_id from pgflow.place p where p.state not in ('completed', 'failed', 'cancelled', 'skipped')
)
select s.lower as first_run, s.upper - 1 as last_run, s.made_at, s.first_used_at, s.idle_since,
       (select greatest(c.reltuples, 0)::bigint from pg_class c where c.oid = s.task) as tasks_estimate,
       pg_total_relation_size(s.task) as task_bytes, pg_total_relation_size(s.outcome) as outcome_bytes,
       pg_total_relation_size(s.event) as event_bytes,
       (select min(l.root_id) from live l where l.root_id >= s.lower and l.root_id < s.upper) as holds_back
  from sized s
 order by s.lower desc
