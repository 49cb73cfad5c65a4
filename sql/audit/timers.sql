-- Guarantees: what will become ready by itself and when, the soonest first.
-- Columns: due_at, in_time, state, task_id, run_id, name, queue, attempt
-- Parameters: within interval = '100 years', name text = '%', limit integer = 50
-- Index: delayed_due, inbox_wake; task_pkey.
with clock as materialized (
    select n.now from (select pgflow.now() as now offset 0) n
), due as (
    select d.due_at, d.reason::text as state, d.task_id, d.root_id, d.attempt from pgflow.delayed d
    union all
    select i.wake_at, 'waiting', i.task_id, i.root_id, i.attempt from pgflow.inbox i where i.wake_at is not null
)
select d.due_at, d.due_at - c.now as in_time, d.state, d.task_id, d.root_id as run_id, t.name, t.queue, d.attempt
  from clock c cross join due d
  join pgflow.task t on t.root_id = d.root_id and t.id = d.task_id
 where d.due_at < c.now + %(within)s::interval and t.name like %(name)s::text
 order by d.due_at, d.task_id limit %(limit)s::integer
