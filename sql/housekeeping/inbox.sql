-- Guarantees: up to `limit` inbox rows of tasks that have their outcome, or that are gone themselves, are gone; never
-- before the outcome. Returns how many.
-- Index: task_pkey, task_child where only the task is known, outcome_pkey. Scalar subqueries, because an EXISTS may be
-- planned as a join, which reads the whole history; ordered, because only task_child has them so.
with gone as (
    delete from pgflow.inbox i where i.ctid = any(array(
        select i.ctid from pgflow.inbox i
         where coalesce(i.needed, 0) <= i.arrived and (
               select true
                 from (select t.root_id from pgflow.task t
                        where t.root_id = coalesce(i.root_id, i.task_id) and t.id = i.task_id
                       union all
                       select c.root_id
                         from (select t.root_id, t.id from pgflow.task t
                                where i.root_id is null and t.id >= i.task_id and t.parent_id is not null
                                order by t.id limit 1) c
                        where c.id = i.task_id) t
                where (select true from pgflow.outcome o where o.root_id = t.root_id and o.task_id = i.task_id) is null
                limit 1) is null
         limit %(limit)s::integer for update skip locked))
    returning 1
)
select count(*) from gone
