-- Guarantees: the run's history in order, or that of one of its tasks. task.enqueued is the task row itself.
-- Index: task_pkey, event_pkey.
select 0::bigint as id, t.id as task_id, t.created_at as at, 'task.enqueued' as type, null::smallint as attempt,
       null::bigint as worker_id, t.key, t.actor, null::jsonb as data
  from pgflow.task t
 where t.root_id = %(root)s::bigint and (%(task)s::bigint is null or t.id = %(task)s::bigint)
union all
select e.id, e.task_id, e.at, e.type::text, e.attempt, e.worker_id, e.key, e.actor, e.data
  from pgflow.event e
 where e.root_id = %(root)s::bigint and (%(task)s::bigint is null or e.task_id = %(task)s::bigint)
 order by at, id
