-- Guarantees: what the tasks of a run have recorded, in the order of recording.
-- Index: event_step.
select e.task_id, e.type::text, e.key, e.data
  from pgflow.event e
 where e.root_id = %(run)s::bigint
   and e.type in ('step.completed', 'timer.created', 'workflow.continued', 'workflow.finished')
 order by e.id
