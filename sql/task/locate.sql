-- Guarantees: for each of these ids that exists, its run and whether it has an outcome.
-- Index: task_pkey for runs, task_child for children; outcome_pkey.
select t.id, t.root_id, exists (select from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id)
  from unnest(%(tasks)s::bigint[]) as a(id) cross join lateral (
       select id, root_id from pgflow.task where root_id = a.id and id = a.id
       union all
       select id, root_id from pgflow.task where id = a.id and parent_id is not null) t
