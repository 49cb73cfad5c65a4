-- Guarantees: nobody tells this task of an event for this wait any more.
-- Index: awaited_pkey.
delete from pgflow.awaited where task_id = %(task)s::bigint and step = %(step)s::text
