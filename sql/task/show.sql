-- Guarantees: everything about one task.
-- Index: the primary keys of the places, of task and of outcome.
select s.id, s.root_id, s.parent_id, s.name, s.queue, s.priority, s.state::text, s.attempt, s.crashes, s.key, s.tags,
       s.created_at, s.due_at, s.claimed_at, s.worker_id, s.lease_expires_at, s.finished_at, s.step, s.actor, s.input,
       o.output, o.error, t.retry, extract(epoch from t.timeout)::float8
  from pgflow.task_state s
  join pgflow.task t on t.root_id = s.root_id and t.id = s.id
  left join pgflow.outcome o on o.root_id = s.root_id and o.task_id = s.id
 where s.root_id = %(root)s::bigint and s.id = %(task)s::bigint
