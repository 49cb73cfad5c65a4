-- Guarantees: all that a replay of these tasks must know, as of one instant: what they recorded, the tries of their
-- steps, signals and other marks, their children with outcomes, and how many arrivals their inbox has counted. One
-- plain statement on purpose: with the count read apart from the rest, or locked, a wake-up could be lost.
-- Index: event_step, event_try, event_mark, task_step, outcome_pkey, inbox_pkey.
select a.task_id, h.*
  from unnest(%(roots)s::bigint[], %(tasks)s::bigint[]) as a(root_id, task_id) cross join lateral (
       select e.type::text, e.id, e.key, e.attempt::integer as number, null::text as name, null::text as state, e.data,
              null::jsonb as error, e.at
         from pgflow.event e
        where e.root_id = a.root_id and e.task_id = a.task_id
          and e.type in ('step.completed', 'timer.created', 'workflow.started', 'workflow.continued')
       union all
       select e.type::text, e.id, e.key, e.attempt, null, null, e.data, null, e.at
         from pgflow.event e
        where e.root_id = a.root_id and e.task_id = a.task_id and e.type in ('step.retried', 'step.failed')
       union all
       select e.type::text, e.id, e.key, e.attempt, null, null, e.data, null, e.at
         from pgflow.event e
        where e.root_id = a.root_id and e.task_id = a.task_id
          and e.type in ('signal.received', 'workflow.cancelling', 'workflow.forked', 'task.redriven')
       union all
       select 'child', t.id, t.step, null, t.name, o.state::text, o.output, o.error, t.created_at
         from pgflow.task t left join lateral (
              select * from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id offset 0) o on true
        where t.root_id = a.root_id and t.parent_id = a.task_id
       union all
       select 'arrived', 0, null, coalesce((select i.arrived from pgflow.inbox i where i.task_id = a.task_id), 0),
              null, null, null, null, pgflow.now()) h
