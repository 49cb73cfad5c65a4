-- Guarantees: nobody counts as waiting for an event who has an outcome, or is gone; up to `limit` are looked after.
-- Returns how many.
-- Index: task_pkey, outcome_pkey; the table holds a row a wait. Scalar subqueries, because an EXISTS may be planned as a
-- join, which reads the whole history.
with gone as (
    delete from pgflow.awaited a where a.ctid = any(array(
        select a.ctid from pgflow.awaited a
         where (select true from pgflow.task t
                 where t.root_id = a.root_id and t.id = a.task_id
                   and (select true from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id) is null) is null
         limit %(limit)s::integer for update skip locked))
    returning 1
)
select count(*) from gone
