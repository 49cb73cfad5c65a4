-- Guarantees: all that happened in a run, in order, from the task that was asked for to the last outcome.
-- Columns: at, after, task_id, name, event, attempt, worker, note
-- Parameters: run bigint
-- Index: task_pkey, event_pkey, worker_pkey.
with history as (
    select t.created_at as at, 0::bigint as id, t.id as task_id, 'task.enqueued' as event, null::smallint as attempt,
           null::bigint as worker_id,
           concat_ws(', ', 'queue ' || t.queue, 'key ' || t.key, 'due ' || t.due_at, 'by ' || t.actor) as note
      from pgflow.task t where t.root_id = %(run)s::bigint
    union all
    select e.at, e.id, e.task_id, e.type::text, e.attempt, e.worker_id,
           nullif(concat_ws(', ', e.key, 'due ' || (e.data->>'due_at')::timestamptz,
                            nullif(concat_ws(': ', e.data->'error'->>'type', split_part(e.data->'error'->>'message', E'\n', 1)), ''),
                            e.data->>'reason', e.data->>'state', 'from ' || (e.data->>'from'), 'by ' || e.actor), '')
      from pgflow.event e where e.root_id = %(run)s::bigint
)
select h.at, h.at - min(h.at) over () as after, h.task_id, t.name, h.event, h.attempt,
       coalesce(w.host || ':' || w.pid, h.worker_id::text) as worker, h.note
  from history h
  join pgflow.task t on t.root_id = %(run)s::bigint and t.id = h.task_id
  left join pgflow.worker w on w.id = h.worker_id
 order by h.at, h.id
