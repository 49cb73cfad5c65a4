-- Guarantees: since when the workflows of a run look for events, unless they say otherwise. No row: no such run.
-- Index: task_pkey, event_mark.
select coalesce((select (e.data->>'since')::timestamptz from pgflow.event e
                  where e.root_id = t.root_id and e.task_id = t.root_id and e.type = 'workflow.forked'
                  order by e.id limit 1), t.created_at)
  from pgflow.task t where t.root_id = %(run)s::bigint and t.id = %(run)s::bigint
