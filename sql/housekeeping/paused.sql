-- Guarantees: no run counts as paused in which nothing is unfinished, or that is gone.
-- Index: task_pkey, outcome_pkey; the table holds a row a paused run.
delete from pgflow.paused_run r where r.ctid = any(array(
    select r.ctid from pgflow.paused_run r
     where not exists (
           select from pgflow.task t
            where t.root_id = r.root_id
              and not exists (select from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id))
     limit 100 for update skip locked))
