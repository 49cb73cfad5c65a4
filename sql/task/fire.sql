-- Guarantees: up to `limit` tasks whose instant has come are ready, each once; nothing early. Also says when the next
-- one is due (as of this statement's start, so look again when something was fired).
-- Index: delayed_due.
with due as (
    delete from pgflow.delayed d where d.ctid = any(array(
        select ctid from pgflow.delayed where due_at <= (select pgflow.now())
         order by due_at limit %(limit)s::integer for update skip locked))
    returning d.task_id, d.root_id, d.due_at, d.reason, d.attempt, d.crashes
), queued as (
    insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
    select t.queue, t.priority, d.task_id, d.root_id, d.attempt, d.crashes
      from due d cross join lateral (
           select queue, priority from pgflow.task where root_id = d.root_id and id = d.task_id offset 0) t
     order by d.due_at, d.task_id
    returning ready.queue
), told as (
    insert into pgflow.event (root_id, task_id, type, attempt, at, key, data)
    select d.root_id, d.task_id, 'timer.fired', d.attempt, c.now, d.reason::text, jsonb_build_object('due_at', d.due_at)
      from (select pgflow.now() as now offset 0) c cross join due d
)
select count(*), (select pgflow.wake(array_agg(distinct q.queue)) from queued q) from due
