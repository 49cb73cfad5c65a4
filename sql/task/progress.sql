-- Guarantees: the last word of each of these tasks about itself, and only of those that this worker holds in that epoch.
-- What is null is left as it was.
-- Index: lease_pkey, progress_pkey.
insert into pgflow.progress as p (root_id, task_id, state, fraction, note, at)
select l.root_id, a.task_id, nullif(a.state, 'null'), a.fraction, a.note, pgflow.now()
  from (select * from rows from (
           unnest(%(tasks)s::bigint[]), unnest(%(epochs)s::bigint[]), jsonb_array_elements(%(states)s::jsonb),
           unnest(%(fractions)s::float8[]), unnest(%(notes)s::text[])) as b(task_id, epoch, state, fraction, note)
         order by task_id) a
 cross join lateral (
       select l.root_id from pgflow.lease l
        where l.task_id = a.task_id and l.epoch = a.epoch and l.worker_id = %(worker)s::bigint for key share) l
on conflict (root_id, task_id) do update set
    state = coalesce(excluded.state, p.state), fraction = coalesce(excluded.fraction, p.fraction),
    note = coalesce(excluded.note, p.note), at = excluded.at
