-- Guarantees: once this is committed, whoever emits such an event tells the task; only under a lease that is held in
-- that epoch. Returns since when events are meant: the given instant, else since the run was asked for; of a fork,
-- since its original was. No row: the lease is lost.
-- Index: lease_pkey, task_pkey, event_mark, awaited_pkey.
insert into pgflow.awaited as a (root_id, task_id, step, name, key, match, bound, since)
select l.root_id, l.task_id, %(step)s::text, %(name)s::text, %(key)s::text, %(match)s::text,
       nullif(%(bound)s::jsonb, 'null'), coalesce(%(since)s::timestamptz, s.since)
  from (select root_id, task_id from pgflow.lease
         where task_id = %(task)s::bigint and epoch = %(epoch)s::bigint for key share) l
 cross join lateral (
       select coalesce((select (e.data->>'since')::timestamptz from pgflow.event e
                         where e.root_id = l.root_id and e.task_id = l.root_id and e.type = 'workflow.forked'
                         order by e.id limit 1), t.created_at) as since
         from pgflow.task t where t.root_id = l.root_id and t.id = l.root_id) s
on conflict (task_id, step) do update set
    name = excluded.name, key = excluded.key, match = excluded.match, bound = excluded.bound, since = excluded.since
returning a.since
