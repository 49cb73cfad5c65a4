-- Guarantees: nobody tells these tasks of an event for these waits any more.
-- Index: awaited_pkey.
delete from pgflow.awaited w where w.ctid = any(array(
    select c.ctid
      from (select * from rows from (unnest(%(tasks)s::bigint[]), unnest(%(steps)s::text[])) as g(task_id, step)
             order by task_id, step) g
     cross join lateral (select ctid from pgflow.awaited where task_id = g.task_id and step = g.step for update) c))
