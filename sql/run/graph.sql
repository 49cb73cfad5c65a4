-- Guarantees: what became of the nodes of a graph's run, as of one instant: a row for each thing that is told of one,
-- and for the version that it follows; and for the children of each node a row a state, with how many they are, the id
-- and the attempt of the one that is the node's own, when the first was asked for and when the last ended.
-- Index: event_step, task_step, outcome_pkey; the primary keys of the places.
select e.type::text, e.key as node, null::text as state, null::bigint as number, null::bigint as task_id,
       null::integer as attempt, e.at, null::timestamptz as ended_at, e.data
  from pgflow.event e
 where e.root_id = %(root)s::bigint and e.task_id = %(task)s::bigint
   and e.type in ('step.completed', 'node.started', 'node.completed', 'node.failed', 'node.skipped')
   and (e.type <> 'step.completed' or e.key = '$definition')
union all
select 'child', c.node, c.state, count(*), min(c.id) filter (where c.own), max(c.attempt), min(c.created_at),
       max(c.finished_at), null
  from (select split_part(t.step, '/', 1) as node, t.step not like '%%/%%' as own, t.id, t.created_at,
               coalesce(o.state::text, p.state::text) as state, coalesce(o.attempt, p.attempt)::integer as attempt,
               o.finished_at
          from pgflow.task t left join lateral (
               select * from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id offset 0) o on true
               left join lateral (
               select * from pgflow.place p
                where o.task_id is null and p.root_id = t.root_id and p.task_id = t.id limit 1) p on true
         where t.root_id = %(root)s::bigint and t.parent_id = %(task)s::bigint) c
 group by c.node, c.state
