-- Guarantees: up to `limit` firings older than the retention are gone, but for those that wait and those whose run may
-- still be in the way of the next one. Returns how many.
-- Index: firing_pkey, outcome_pkey, task_pkey; the schedules are few. Scalar subqueries, because an EXISTS may be planned
-- as a hash of the whole history.
with gone as (
    delete from pgflow.firing f where f.ctid = any(array(
        select g.ctid from pgflow.schedule s cross join lateral (
               select g.ctid from pgflow.firing g
                where g.schedule_id = s.id and g.state <> 'pending'
                  and g.fire_at < pgflow.now() - %(retention)s::float8 * interval '1 s'
                  and (g.root_id is null
                       or (select true from pgflow.outcome o where o.root_id = g.root_id and o.task_id = g.root_id)
                       or (select true from pgflow.task t where t.root_id = g.root_id and t.id = g.root_id) is null)
                order by g.fire_at limit %(limit)s::integer) g limit %(limit)s::integer))
    returning 1
)
select count(*) from gone
