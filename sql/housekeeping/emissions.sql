-- Guarantees: events older than the retention are gone, the oldest first, up to `limit`; but none whose task has still
-- to tell of it. Returns how many.
-- Index: emission_pkey, from its beginning; outcome_pkey, task_pkey. Scalar subqueries, because an EXISTS may be planned as
-- a join, which reads the whole history.
with gone as (
    delete from pgflow.emission e where e.ctid = any(array(
        select o.ctid
          from (select ctid, at, task_id from pgflow.emission order by id limit %(limit)s::integer) o
         where o.at < pgflow.now() - make_interval(secs => %(retention)s::float8)
           and (select true from pgflow.task t
                 where t.root_id = o.task_id and t.id = o.task_id
                   and (select true from pgflow.outcome u where u.root_id = t.root_id and u.task_id = t.id) is null
               ) is null))
    returning e.id
)
select count(*) from gone
