-- Guarantees: up to `limit` tasks whose instant has come are ready, each once; nothing early.
-- Index: delayed_due.
with due as (
    delete from pgflow.delayed d where d.ctid = any(array(
        select ctid from pgflow.delayed where due_at <= (select pgflow.now())
         order by due_at limit %(limit)s::integer for update skip locked))
    returning d.task_id, d.root_id, d.due_at, d.reason, d.attempt, d.crashes
), told as (
    insert into pgflow.event (root_id, task_id, type, attempt, at, key, data)
    select d.root_id, d.task_id, 'timer.fired', d.attempt, c.now, d.reason::text, jsonb_build_object('due_at', d.due_at)
      from (select pgflow.now() as now offset 0) c cross join due d
)
select count(*), pgflow.make_ready(array_agg(d.task_id order by d.due_at, d.task_id), array_agg(d.root_id order by d.due_at, d.task_id),
                                   array_agg(d.attempt order by d.due_at, d.task_id), array_agg(d.crashes order by d.due_at, d.task_id))
  from due d
