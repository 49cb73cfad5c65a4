-- Guarantees: up to `limit` parked tasks of each of these runs, and these tasks if they need attention, are ready again;
-- of those that needed attention the history says who let them go on. Returns (run, task) of those moved. In a run that
-- is paused, make_ready parks them again.
-- Index: parked_run, parked_pkey.
with taken as (
    delete from pgflow.parked p where p.ctid = any(array(
        select c.ctid from unnest(%(runs)s::bigint[]) as a(root_id) cross join lateral (
               select ctid from pgflow.parked where root_id = a.root_id
                limit %(limit)s::integer for update skip locked) c
        union all
        select c.ctid from unnest(%(tasks)s::bigint[]) as a(task_id) cross join lateral (
               select ctid from pgflow.parked where task_id = a.task_id and reason = 'needs_attention'
                  for update skip locked) c))
    returning p.task_id, p.root_id, p.reason, p.attempt, p.crashes
), told as (
    insert into pgflow.event (root_id, task_id, type, at, actor, data)
    select t.root_id, t.task_id, 'task.resumed', pgflow.now(), %(actor)s::text, '{"was": "needs_attention"}'
      from taken t where t.reason = 'needs_attention'
)
select t.root_id, t.task_id,
       (select pgflow.make_ready(array_agg(u.task_id order by u.task_id), array_agg(u.root_id order by u.task_id),
                                 array_agg(u.attempt order by u.task_id), array_agg(u.crashes order by u.task_id))
          from taken u having count(*) > 0)
  from taken t
