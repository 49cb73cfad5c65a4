-- Guarantees: what became of the newest instants of a schedule, with the state of the runs they started.
-- Index: schedule_name_key, firing_pkey, outcome_pkey.
select f.fire_at, f.kind, f.state, f.root_id, f.at, coalesce(o.state::text, case when f.root_id is not null then 'active' end)
  from (select id from pgflow.schedule where name = %(name)s::text offset 0) s
 cross join lateral (
       select * from pgflow.firing f
        where f.schedule_id = s.id and (%(before)s::timestamptz is null or f.fire_at < %(before)s::timestamptz)
        order by f.fire_at desc limit %(limit)s::integer) f
  left join lateral (
       select state from pgflow.outcome o where o.root_id = f.root_id and o.task_id = f.root_id) o on true
 order by f.fire_at desc
