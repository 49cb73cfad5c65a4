-- Guarantees: up to `limit` tasks of the run below `before`, its root included, that have no outcome, newest first. Not
-- those that a workflow spawned after `upto` was the newest id, unless it is cancelled: what it does while it cleans up
-- is left to it. With `upto` null all.
-- Index: task_pkey, outcome_pkey.
select t.id from pgflow.task t
 where t.root_id = %(run)s::bigint and t.id < %(before)s::bigint
   and not exists (select from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id)
   and (%(upto)s::bigint is null or t.id <= %(upto)s::bigint or exists (
        select from pgflow.outcome o
         where o.root_id = t.root_id and o.task_id = t.parent_id and o.state = 'cancelled'
           and not exists (select from pgflow.event e
                            where e.root_id = t.root_id and e.task_id = t.parent_id
                              and e.type = 'workflow.cancelling')))
 order by t.id desc limit %(limit)s::integer
