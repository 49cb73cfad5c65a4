-- Guarantees: the runs of these schedules that have not ended, for the overlap policy `cancel`.
-- Index: firing_started, outcome_pkey.
select f.root_id from unnest(%(ids)s::bigint[]) as s(id) cross join lateral (
       select f.root_id from pgflow.firing f
        where f.schedule_id = s.id and f.state = 'started' and f.kind <> 'backfill'
        order by f.fire_at desc limit 100) f
 where not exists (select from pgflow.outcome o where o.root_id = f.root_id and o.task_id = f.root_id)
