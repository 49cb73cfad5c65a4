-- Guarantees: of each of these ids that exists, its run and the run's name and queue: by which it is seen who may see it.
-- Index: task_pkey for runs, task_child for children.
select a.id, r.id, r.name, r.queue
  from unnest(%(tasks)s::bigint[]) as a(id)
 cross join lateral (
       select root_id from pgflow.task where root_id = a.id and id = a.id
       union all
       select root_id from pgflow.task where id = a.id and parent_id is not null) t
  join pgflow.task r on r.root_id = t.root_id and r.id = t.root_id
