-- Guarantees: the outcomes of those of these tasks that have one.
-- Index: outcome_pkey.
select o.task_id, o.state::text, o.output, o.error, o.attempt, o.finished_at
  from unnest(%(roots)s::bigint[], %(tasks)s::bigint[]) as a(root_id, task_id) cross join lateral (
       select * from pgflow.outcome where root_id = a.root_id and task_id = a.task_id offset 0) o
