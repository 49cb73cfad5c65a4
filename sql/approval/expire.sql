-- Guarantees: a question that nobody has decided is not decided any more. Whoever is just deciding it is waited for.
-- Returns the state that it is in for good; none when there is no such question.
-- Index: approval_root_id_task_id_node_key.
with asked as materialized (
    select a.id, a.state from pgflow.approval a
     where a.root_id = %(root)s::bigint and a.task_id = %(task)s::bigint and a.node = %(node)s::text for update
), expired as (
    update pgflow.approval a set state = 'expired', decided_at = pgflow.now()
      from asked s where a.id = s.id and s.state = 'pending'
    returning a.state
)
select coalesce((select e.state from expired e), s.state) from asked s
