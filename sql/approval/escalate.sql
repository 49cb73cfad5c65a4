-- Guarantees: of a question that is still open, an event says who else may decide from this escalation on; once, however
-- often this is asked for, because the question notes it in the same statement.
-- Index: approval_root_id_task_id_node_key; the event is an insert.
with escalated as (
    update pgflow.approval a
       set escalations = jsonb_set(a.escalations, array[(%(number)s::integer)::text, 'told'], 'true')
     where a.root_id = %(root)s::bigint and a.task_id = %(task)s::bigint and a.node = %(node)s::text
       and a.state = 'pending' and a.escalations->%(number)s::integer is not null
       and a.escalations->%(number)s::integer->'told' is null
    returning a.*
)
insert into pgflow.event (root_id, task_id, type, at, key, data)
select e.root_id, e.task_id, 'approval.escalated', pgflow.now(), e.node, jsonb_build_object(
           'approval', jsonb_build_object('id', e.id, 'title', e.title,
                                          'assignees', e.escalations->%(number)s::integer->'assignees'),
           'due_at', e.due_at)
  from escalated e
returning 1
