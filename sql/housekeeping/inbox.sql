-- Guarantees: inbox rows of tasks that have their outcome, or that are gone themselves, are gone; never before the
-- outcome.
-- Index: outcome_pkey, task_child.
delete from pgflow.inbox i where i.ctid = any(array(
    select i.ctid from pgflow.inbox i
     where coalesce(i.needed, 0) <= i.arrived and not exists (
           select from pgflow.task t
            where t.id = i.task_id and (t.root_id = i.task_id or t.parent_id is not null)
              and not exists (select from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id))
     limit 1000 for update skip locked))
