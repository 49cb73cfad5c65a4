-- Guarantees: inbox rows of tasks that have their outcome are gone; never before the outcome.
-- Index: outcome_pkey, task_child.
delete from pgflow.inbox i where i.ctid = any(array(
    select i.ctid from pgflow.inbox i
     where coalesce(i.needed, 0) <= i.arrived and exists (
           select from pgflow.task t join pgflow.outcome o on o.root_id = t.root_id and o.task_id = t.id
            where (t.root_id = i.task_id or t.parent_id is not null) and t.id = i.task_id)
     limit 1000 for update skip locked))
