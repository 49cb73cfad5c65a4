-- Guarantees: of the next `limit` tasks after `after` that have no outcome, in whatever place, those that are workflows:
-- of these names, or stored as workflows in code. The last row has the last id looked at instead, null at the end. One
-- statement sees each task in exactly one place, so none is missed while it moves.
-- Index: the primary key of each place, task_pkey, definition_pkey.
with page as materialized (
    (select task_id, root_id, 'queued'::pgflow.state as state from pgflow.ready
      where task_id > %(after)s::bigint order by task_id limit %(limit)s::integer)
    union all
    (select task_id, root_id, 'running' from pgflow.lease
      where task_id > %(after)s::bigint order by task_id limit %(limit)s::integer)
    union all
    (select task_id, root_id, reason from pgflow.delayed
      where task_id > %(after)s::bigint order by task_id limit %(limit)s::integer)
    union all
    (select task_id, root_id, 'waiting' from pgflow.inbox
      where task_id > %(after)s::bigint and needed > arrived order by task_id limit %(limit)s::integer)
    union all
    (select task_id, root_id, 'throttled' from pgflow.throttled
      where task_id > %(after)s::bigint order by task_id limit %(limit)s::integer)
    union all
    (select task_id, root_id, reason from pgflow.parked
      where task_id > %(after)s::bigint order by task_id limit %(limit)s::integer)
    order by 1 limit %(limit)s::integer
)
select p.task_id, p.root_id, t.name, p.state::text, t.input
  from page p cross join lateral (
       select name, input from pgflow.task where root_id = p.root_id and id = p.task_id offset 0) t
 where t.name = any(%(names)s::text[])
    or exists (select from pgflow.definition d where d.name = t.name and d.kind = 'code')
union all
select null, (select max(p.task_id) from page p), null, null, null
