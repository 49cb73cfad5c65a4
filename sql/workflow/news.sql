-- Guarantees: what has come since their histories were read to workflows that were kept in memory, as of one instant:
-- how many facts are recorded (more than it knows of: somebody else went on with it), signals and other marks, the
-- outcomes of children it waits for, and how many arrivals its inbox has counted. Marks come all, not only those past
-- an id: a signal may commit later than one with a greater id.
-- Index: event_step, event_mark, inbox_pkey, outcome_pkey.
select a.task_id, h.*
  from unnest(%(roots)s::bigint[], %(tasks)s::bigint[]) as a(root_id, task_id) cross join lateral (
       select 'facts'::text as type, 0::bigint as id, null::text as key, (
              select count(*)::integer from pgflow.event e
               where e.root_id = a.root_id and e.task_id = a.task_id
                 and e.type in ('step.completed', 'timer.created', 'workflow.started', 'workflow.continued'))
            + (select count(*)::integer from pgflow.event e
                where e.root_id = a.root_id and e.task_id = a.task_id and e.type in ('step.retried', 'step.failed'))
            + (select count(*)::integer from pgflow.task t where t.root_id = a.root_id and t.parent_id = a.task_id) as number,
              null::text as name, null::text as state, null::jsonb as data, null::jsonb as error, pgflow.now() as at
       union all
       select 'arrived', 0, null, coalesce((select i.arrived from pgflow.inbox i where i.task_id = a.task_id), 0),
              null, null, null, null, pgflow.now()
       union all
       select e.type::text, e.id, e.key, null, null, null, e.data, null, e.at
         from pgflow.event e
        where e.root_id = a.root_id and e.task_id = a.task_id
          and e.type in ('signal.received', 'workflow.cancelling', 'workflow.forked', 'task.redriven')) h
union all
select c.parent_id, 'child', c.id, null, null, null, o.state::text, o.output, o.error, o.finished_at
  from unnest(%(child_roots)s::bigint[], %(parents)s::bigint[], %(children)s::bigint[]) as c(root_id, parent_id, id)
 cross join lateral (
       select state, output, error, finished_at from pgflow.outcome
        where root_id = c.root_id and task_id = c.id offset 0) o
