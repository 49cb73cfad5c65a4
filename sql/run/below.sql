-- Guarantees: up to `limit` tasks below this one, its children and theirs, with ids below `before`, that have no outcome,
-- newest first. Not those that a workflow spawned after `upto` was the newest id, unless it is cancelled: what it does
-- while it cleans up is left to it. With `upto` null all.
-- Index: task_step, outcome_pkey.
with recursive below as (
    select t.id, t.parent_id from pgflow.task t
     where t.root_id = %(run)s::bigint and t.parent_id = %(task)s::bigint
    union all
    select t.id, t.parent_id from below b join pgflow.task t on t.root_id = %(run)s::bigint and t.parent_id = b.id
)
select b.id from below b
 where b.id < %(before)s::bigint
   and not exists (select from pgflow.outcome o where o.root_id = %(run)s::bigint and o.task_id = b.id)
   and (%(upto)s::bigint is null or b.id <= %(upto)s::bigint or exists (
        select from pgflow.outcome o
         where o.root_id = %(run)s::bigint and o.task_id = b.parent_id and o.state = 'cancelled'
           and not exists (select from pgflow.event e
                            where e.root_id = %(run)s::bigint and e.task_id = b.parent_id
                              and e.type = 'workflow.cancelling')))
 order by b.id desc limit %(limit)s::integer
