-- Guarantees: what keeps a task, as of one instant, a row for each thing: its run is paused; tasks of the run (of a
-- child: itself) that are parked, with why; how many arrivals it lacks; its own open timers; the events it waits for;
-- its unfinished children, oldest first. At most `limit` of each.
-- Index: paused_run_pkey, parked_run, inbox_pkey, event_step, awaited_pkey, task_step, outcome_pkey; the primary keys of
-- the places.
select 'paused' as what, null::bigint as task_id, null::text as name, null::text as step, null::text as state,
       p.since as at, p.actor, null::jsonb as detail, null::bigint as number
  from pgflow.paused_run p where p.root_id = %(root)s::bigint
union all
(select 'parked', k.task_id, t.name, t.step, k.reason::text, k.since, k.actor, k.detail, null
   from pgflow.parked k join pgflow.task t on t.root_id = k.root_id and t.id = k.task_id
  where k.root_id = %(root)s::bigint and (%(task)s::bigint = %(root)s::bigint or k.task_id = %(task)s::bigint)
  order by k.task_id limit %(limit)s::integer)
union all
select 'arrivals', null, null, null, null, i.wake_at, null, null, i.needed - i.arrived
  from pgflow.inbox i where i.task_id = %(task)s::bigint and i.needed > i.arrived
union all
(select 'timer', null, null, e.key, null, (e.data->>'due_at')::timestamptz, null, null, null
   from pgflow.event e
  where e.root_id = %(root)s::bigint and e.task_id = %(task)s::bigint and e.type = 'timer.created'
    and (e.data->>'due_at')::timestamptz > pgflow.now()
    and not exists (
        select from pgflow.event d
         where d.root_id = e.root_id and d.task_id = e.task_id and d.key = e.key and d.type = 'step.completed')
  order by 6 limit %(limit)s::integer)
union all
(select 'event', null, w.name, w.step, w.key, null, null, jsonb_strip_nulls(jsonb_build_object('match', w.match)), null
   from pgflow.awaited w where w.task_id = %(task)s::bigint order by w.step limit %(limit)s::integer)
union all
(select 'child', t.id, t.name, t.step, p.state::text, p.due_at, null, null, count(*) over ()
   from pgflow.task t left join lateral (
        select * from pgflow.place p where p.root_id = t.root_id and p.task_id = t.id limit 1) p on true
  where t.root_id = %(root)s::bigint and t.parent_id = %(task)s::bigint
    and not exists (select from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id)
  order by t.id limit %(limit)s::integer)
