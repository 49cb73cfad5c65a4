-- Guarantees: no run counts as paused in which nothing is unfinished, or that is gone; up to `limit` are looked after.
-- Returns how many.
-- Index: task_pkey, outcome_pkey; the table holds a row a paused run. Scalar subqueries, because an EXISTS may be planned
-- as a join, which reads the whole history.
with gone as (
    delete from pgflow.paused_run r where r.ctid = any(array(
        select r.ctid from pgflow.paused_run r
         where (select true from pgflow.task t
                 where t.root_id = r.root_id
                   and (select true from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id) is null
                 limit 1) is null
         limit %(limit)s::integer for update skip locked))
    returning 1
)
select count(*) from gone
