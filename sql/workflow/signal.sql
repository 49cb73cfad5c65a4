-- Guarantees: each signal is in the history of its task, or the answer says why not: the task is unknown, or finished.
-- The task is told by an arrival. A signal that comes before anybody waits for it stays.
-- Index: task_pkey for runs, task_child for children; outcome_pkey.
with asked as materialized (
    select a.ord, a.task_id, a.name, a.data, t.root_id,
           exists (select from pgflow.outcome o where o.root_id = t.root_id and o.task_id = a.task_id) as finished
      from rows from (unnest(%(tasks)s::bigint[]), unnest(%(names)s::text[]), jsonb_array_elements(%(data)s::jsonb))
           with ordinality as a(task_id, name, data, ord)
      left join lateral (
           select root_id from pgflow.task where root_id = a.task_id and id = a.task_id
           union all
           select root_id from pgflow.task where id = a.task_id and parent_id is not null limit 1) t on true
), told as (
    insert into pgflow.event (root_id, task_id, type, at, key, actor, data)
    select a.root_id, a.task_id, 'signal.received', pgflow.now(), a.name, %(actor)s::text, a.data
      from asked a where a.root_id is not null and not a.finished order by a.ord
    returning task_id
)
select a.task_id, case when a.root_id is null then 'unknown' when a.finished then 'finished' else 'sent' end,
       (select pgflow.arrive(array_agg(t.task_id order by t.task_id), null,
                             array_fill(1, array[count(*)::integer]), null, null, null, null)
          from told t having count(*) > 0)
  from asked a order by a.ord
