-- Guarantees: once this is committed, whoever emits such an event tells these tasks; each only under a lease that is
-- held in that epoch. Returns since when events are meant: the given instant, else since the run was asked for; of a
-- fork, since its original was. No row: the lease is lost.
-- Index: lease_pkey, task_pkey, event_mark, awaited_pkey.
with asked as materialized (
    select distinct on (a.task_id, a.step) a.*
      from rows from (
           unnest(%(tasks)s::bigint[]), unnest(%(epochs)s::bigint[]), unnest(%(steps)s::text[]),
           unnest(%(names)s::text[]), unnest(%(keys)s::text[]), unnest(%(matches)s::text[]),
           jsonb_array_elements(%(bounds)s::jsonb), unnest(%(sinces)s::timestamptz[]))
           as a(task_id, epoch, step, name, key, match, bound, since)
     order by a.task_id, a.step, a.epoch desc
), held as materialized (
    select a.*, l.root_id
      from (select * from asked order by task_id, step) a cross join lateral (
           select root_id from pgflow.lease where task_id = a.task_id and epoch = a.epoch for key share) l
)
insert into pgflow.awaited as w (root_id, task_id, step, name, key, match, bound, since)
select h.root_id, h.task_id, h.step, h.name, h.key, h.match, nullif(h.bound, 'null'), coalesce(h.since, s.since)
  from held h cross join lateral (
       select coalesce((select (e.data->>'since')::timestamptz from pgflow.event e
                         where e.root_id = h.root_id and e.task_id = h.root_id and e.type = 'workflow.forked'
                         order by e.id limit 1), t.created_at) as since
         from pgflow.task t where t.root_id = h.root_id and t.id = h.root_id) s
 order by h.task_id, h.step
on conflict (task_id, step) do update set
    name = excluded.name, key = excluded.key, match = excluded.match, bound = excluded.bound, since = excluded.since
returning w.task_id, w.step, w.since
