-- Guarantees: what a run of a graph has recorded, in outline, as of one instant: events with their ids, and with as much
-- of their data as tells what became of its nodes; what a node has given is not among it. And its children, with how
-- they ended.
-- Index: event_step, event_try, event_mark, which a query has to be as wide as to use; task_step, outcome_pkey.
select e.type::text, e.id, e.key, null::text as state,
       case when e.type::text like 'node.%%' then e.data - 'error'
            when e.key like '$%%' then e.data
            when e.key like '%%$signal:%%' then jsonb_build_object('signal', e.data->'signal') end as data
  from pgflow.event e
 where e.root_id = %(root)s::bigint and e.task_id = %(task)s::bigint
   and e.type in ('step.completed', 'timer.created', 'node.started', 'node.completed', 'node.failed', 'node.skipped')
union all
select e.type::text, e.id, e.key, null, null
  from pgflow.event e
 where e.root_id = %(root)s::bigint and e.task_id = %(task)s::bigint and e.type in ('step.retried', 'step.failed')
   and e.type = 'step.failed'
union all
select e.type::text, e.id, e.key, null, null
  from pgflow.event e
 where e.root_id = %(root)s::bigint and e.task_id = %(task)s::bigint
   and e.type in ('signal.received', 'workflow.cancelling', 'workflow.forked', 'task.redriven')
   and e.type = 'signal.received'
union all
select 'child', t.id, t.step, o.state::text, null
  from pgflow.task t left join lateral (
       select * from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id offset 0) o on true
 where t.root_id = %(root)s::bigint and t.parent_id = %(task)s::bigint
 order by 2
