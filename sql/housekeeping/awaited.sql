-- Guarantees: nobody counts as waiting for an event who has an outcome, or is gone.
-- Index: task_pkey, task_child, outcome_pkey; the table holds a row a wait.
delete from pgflow.awaited a where a.ctid = any(array(
    select a.ctid from pgflow.awaited a
     where not exists (
           select from pgflow.task t
            where t.root_id = a.root_id and t.id = a.task_id
              and not exists (select from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id))
     limit 1000 for update skip locked))
