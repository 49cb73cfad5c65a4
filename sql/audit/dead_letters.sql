-- Guarantees: tasks that failed for good, newest first, with the error. `pgflow task redrive ID` revives one.
-- Columns: task_id, run_id, name, queue, attempt, reason, error, message, finished_at
-- Parameters: since interval = '7 days', name text = '%', queue text = '%', limit integer = 50
-- Index: outcome_failed, newest tasks first; task_pkey.
select o.task_id, o.root_id as run_id, t.name, t.queue, o.attempt, o.error->>'reason' as reason,
       o.error->>'type' as error, left(split_part(o.error->>'message', E'\n', 1), 200) as message, o.finished_at
  from pgflow.outcome o
  join pgflow.task t on t.root_id = o.root_id and t.id = o.task_id
 where o.state = 'failed' and o.finished_at >= (select pgflow.now()) - %(since)s::interval
   and t.name like %(name)s::text and t.queue like %(queue)s::text
 order by o.task_id desc limit %(limit)s::integer
