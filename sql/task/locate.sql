-- Guarantees: for each of these ids that exists, its run, whether it has an outcome and, when asked, whether it is
-- guarded: a workflow that has registered something to be undone, in the generation it is in.
-- Index: task_pkey for runs, task_child for children; outcome_pkey, event_step.
select t.id, t.root_id, exists (select from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id),
       %(guards)s::boolean and exists (
           select from pgflow.event e
            where e.root_id = t.root_id and e.task_id = t.id and e.type = 'step.completed'
              and e.key = coalesce((
                  select max(c.key::integer) || '/' from pgflow.event c
                   where c.root_id = t.root_id and c.task_id = t.id and c.type = 'workflow.continued'
                     and c.key >= '0' and c.key < ':'), '') || '$cleanup')
  from unnest(%(tasks)s::bigint[]) as a(id) cross join lateral (
       select id, root_id from pgflow.task where root_id = a.id and id = a.id
       union all
       select id, root_id from pgflow.task where id = a.id and parent_id is not null) t
