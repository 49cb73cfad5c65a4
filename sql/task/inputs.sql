-- Guarantees: the arguments of these tasks.
-- Index: task_pkey.
select t.id, t.input
  from unnest(%(roots)s::bigint[], %(tasks)s::bigint[]) as a(root_id, task_id) cross join lateral (
       select id, input from pgflow.task where root_id = a.root_id and id = a.task_id offset 0) t
