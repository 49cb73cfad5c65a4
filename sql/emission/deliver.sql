-- Guarantees: each of these waits that still stands ends, and its task has the event in its history and is told by an
-- arrival; nobody else can tell it of another for the same wait. Returns how many.
-- Locks: rows of awaited in task order, then inbox rows in task order (in arrive).
-- Index: awaited_pkey, emission_pkey, outcome_pkey.
with held as materialized (
    select a.tid, a.since
      from (select * from rows from (unnest(%(tasks)s::bigint[]), unnest(%(steps)s::text[])) as w(task_id, step)
             order by task_id, step) w cross join lateral (
           select ctid as tid, since from pgflow.awaited
            where task_id = w.task_id and step = w.step and name = %(name)s::text for update) a
), gone as (
    delete from pgflow.awaited a using held h where a.ctid = h.tid
    returning a.task_id, a.root_id, a.step, a.since
), told as (
    insert into pgflow.event (root_id, task_id, type, at, key, actor, data)
    select g.root_id, g.task_id, 'signal.received', c.now, g.step, e.actor, jsonb_build_object('payload',
           jsonb_build_object('emission', e.id, 'at', e.at, 'since', g.since, 'payload', e.payload))
      from (select pgflow.now() as now offset 0) c
     cross join gone g cross join lateral (select * from pgflow.emission where id = %(emission)s::bigint offset 0) e
     where not exists (select from pgflow.outcome o where o.root_id = g.root_id and o.task_id = g.task_id)
     order by g.task_id, g.step
    returning task_id
)
select count(*)::integer,
       (select pgflow.arrive(array_agg(t.task_id order by t.task_id), null,
                             array_fill(1, array[count(*)::integer]), null, null, null, null)
          from told t having count(*) > 0)
  from told
