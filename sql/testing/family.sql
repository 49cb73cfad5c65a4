-- Guarantees: every task of a run, with its outcome if it has one.
-- Index: task_pkey; outcome_pkey.
select t.id, t.parent_id, t.step, t.name, o.state::text, o.output, o.error
  from pgflow.task t left join pgflow.outcome o on o.root_id = t.root_id and o.task_id = t.id
 where t.root_id = %(run)s::bigint
 order by t.id
