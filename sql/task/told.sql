-- Guarantees: what the task last told of itself.
-- Index: progress_pkey.
select p.state, p.fraction, p.note, p.at from pgflow.progress p
 where p.root_id = %(root)s::bigint and p.task_id = %(task)s::bigint
