-- Guarantees: those of these tasks that are the run of a graph which has begun, or do a node of one: the task, and the
-- graph's run.
-- Index: task_pkey, event_step.
select a.task_id, e.task_id
  from unnest(%(roots)s::bigint[], %(tasks)s::bigint[]) as a(root_id, task_id) cross join lateral (
       select * from pgflow.task where root_id = a.root_id and id = a.task_id offset 0) t cross join lateral (
       select e.task_id from pgflow.event e
        where e.root_id = a.root_id and e.task_id in (t.id, t.parent_id) and e.type = 'step.completed'
          and e.key = '$definition' order by e.task_id desc limit 1) e
