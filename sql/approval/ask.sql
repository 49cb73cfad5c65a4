-- Guarantees: there is one question of this node in this task, as it was first asked: asked again, after a crash, the
-- first is left as it is. Returns its id, when it was asked, and when it is due.
-- Index: approval_root_id_task_id_node_key.
insert into pgflow.approval as a (root_id, task_id, node, workflow, title, description, form, assignees, escalations,
                                  asked_at, due_at)
select %(root)s::bigint, %(task)s::bigint, %(node)s::text, %(workflow)s::text, %(title)s::text, %(description)s::text,
       %(form)s::jsonb, %(assignees)s::text[], coalesce((
           select jsonb_agg(jsonb_build_object('at', n.now + make_interval(secs => (e->>'after')::float8),
                                               'assignees', e->'assignees') order by (e->>'after')::float8)
             from jsonb_array_elements(%(escalations)s::jsonb) e), '[]'),
       n.now, n.now + make_interval(secs => %(timeout)s::float8)
  from (select pgflow.now() as now offset 0) n
on conflict (root_id, task_id, node) do update set node = a.node
returning a.id, a.asked_at, a.due_at
