-- Guarantees: there is one question of this node in this task, as it was first asked, and one event that says so: asked
-- again, after a crash, the first is left as it is. Returns its id, when it was asked, when it is due, and when others may
-- decide too, in order.
-- Index: approval_root_id_task_id_node_key; the event is an insert.
with asked as (
    insert into pgflow.approval as a (root_id, task_id, node, workflow, title, description, form, assignees, escalations,
                                      asked_at, due_at)
    select %(root)s::bigint, %(task)s::bigint, %(node)s::text, %(workflow)s::text, %(title)s::text,
           %(description)s::text, %(form)s::jsonb, %(assignees)s::text[], coalesce((
               select jsonb_agg(jsonb_build_object('at', n.now + make_interval(secs => (e->>'after')::float8),
                                                   'assignees', e->'assignees') order by (e->>'after')::float8)
                 from jsonb_array_elements(%(escalations)s::jsonb) e), '[]'),
           n.now, n.now + make_interval(secs => %(timeout)s::float8)
      from (select pgflow.now() as now offset 0) n
    on conflict (root_id, task_id, node) do update set node = a.node
    returning a.*, a.xmax = 0 as is_new
), told as (
    insert into pgflow.event (root_id, task_id, type, at, key, data)
    select a.root_id, a.task_id, 'approval.requested', a.asked_at, a.node, jsonb_build_object(
               'approval', jsonb_build_object('id', a.id, 'title', a.title, 'assignees', a.assignees),
               'due_at', a.due_at)
      from asked a where a.is_new
    returning 1
)
select a.id, a.asked_at, a.due_at, array(
           select (e.one->>'at')::timestamptz from jsonb_array_elements(a.escalations) with ordinality e(one, place)
            order by e.place), (select count(*) from told)
  from asked a
