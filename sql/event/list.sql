-- Guarantees: the run's history in order, or that of one of its tasks; with a limit its last so many events.
-- task.enqueued is the task row itself.
-- Index: task_pkey, event_pkey.
select h.id, h.task_id, h.at, h.type, h.attempt, h.worker_id, h.key, h.actor, h.data, h.name, h.step, h.parent_id
  from (select e.*, t.name, t.step, t.parent_id
          from (select 0::bigint as id, t.id as task_id, t.created_at as at, 'task.enqueued' as type,
                       null::smallint as attempt, null::bigint as worker_id, t.key, t.actor, null::jsonb as data
                  from pgflow.task t
                 where t.root_id = %(root)s::bigint and (%(task)s::bigint is null or t.id = %(task)s::bigint)
                union all
                select e.id, e.task_id, e.at, e.type::text, e.attempt, e.worker_id, e.key, e.actor, e.data
                  from pgflow.event e
                 where e.root_id = %(root)s::bigint and (%(task)s::bigint is null or e.task_id = %(task)s::bigint)
               ) e join pgflow.task t on t.root_id = %(root)s::bigint and t.id = e.task_id
         order by e.at desc, e.id desc limit %(limit)s::integer) h
 order by h.at, h.id
