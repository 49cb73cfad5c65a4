-- Guarantees: up to `limit` tasks of the run, its root included, that have no outcome.
-- Index: task_pkey, outcome_pkey.
select t.id from pgflow.task t
 where t.root_id = %(run)s::bigint
   and not exists (select from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id)
 order by t.id desc limit %(limit)s::integer
