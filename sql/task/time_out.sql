-- Guarantees: up to `limit` tasks that waited until their time-out without the arrival they needed are ready, each
-- once: the condition is repeated on the locked row, because an arrival may just have crossed it.
-- Index: inbox_wake.
with due as (
    update pgflow.inbox i set needed = i.arrived, wake_at = null
     where i.ctid = any(array(
           select ctid from pgflow.inbox where wake_at <= (select pgflow.now()) and needed > arrived
            order by wake_at limit %(limit)s::integer for update skip locked))
       and i.needed > i.arrived
    returning i.task_id, i.root_id, i.attempt, i.crashes
), told as (
    insert into pgflow.event (root_id, task_id, type, attempt, at, key)
    select d.root_id, d.task_id, 'timer.fired', d.attempt, c.now, 'waiting'
      from (select pgflow.now() as now offset 0) c cross join due d
)
select count(*), pgflow.make_ready(array_agg(d.task_id order by d.task_id), array_agg(d.root_id order by d.task_id),
                                   array_agg(d.attempt order by d.task_id), array_agg(d.crashes order by d.task_id))
  from due d
