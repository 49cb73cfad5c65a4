-- Guarantees: what the steps of a bulk have recorded, in order, past a position: a page of ids each.
-- Index: event_step.
select e.id, e.data
  from pgflow.event e
 where e.root_id = %(run)s::bigint and e.task_id = %(run)s::bigint and e.type = 'step.completed'
   and e.key like %(key)s::text and e.id > %(after)s::bigint
 order by e.id limit %(limit)s::integer
