-- Guarantees: each of these tasks that is in a place now, and whose row nobody is just moving, has the outcome
-- `cancelled`; the holder of a lease is told through its heart and can change nothing any more. Never waits for a
-- place's lock: a task that is just moving is missed, so the caller repeats with a new snapshot until every id was
-- moved or has an outcome. The inbox rows of their parents, at which they will arrive, are locked first, in order: a
-- parent's id is below its children's, and nobody may hold a child's row and wait for a lower one.
-- Index: the primary key of each place.
with asked as materialized (
    select a.task_id
      from (select pgflow.lock_parents(%(tasks)s::bigint[]) as count offset 0) locked
     cross join unnest(%(tasks)s::bigint[]) as a(task_id)
     where locked.count >= 0
), unleased as (
    delete from pgflow.lease p where p.ctid = any(array(
        select c.ctid from asked a cross join lateral (
               select ctid from pgflow.lease where task_id = a.task_id for update skip locked) c))
    returning p.task_id, p.root_id, p.attempt, p.worker_id, p.epoch, p.queue, p.slot
), unqueued as (
    delete from pgflow.ready p where p.ctid = any(array(
        select c.ctid from asked a cross join lateral (
               select ctid from pgflow.ready where task_id = a.task_id for update skip locked) c))
    returning p.task_id, p.root_id, p.attempt, p.queue, p.slot
), undelayed as (
    delete from pgflow.delayed p where p.ctid = any(array(
        select c.ctid from asked a cross join lateral (
               select ctid from pgflow.delayed where task_id = a.task_id for update skip locked) c))
    returning p.task_id, p.root_id, p.attempt
), unwaited as (
    delete from pgflow.inbox p where p.ctid = any(array(
        select c.ctid from asked a cross join lateral (
               select ctid from pgflow.inbox where task_id = a.task_id and needed > arrived for update skip locked) c))
       and p.needed > p.arrived
    returning p.task_id, p.root_id, p.attempt
), unthrottled as (
    delete from pgflow.throttled p where p.ctid = any(array(
        select c.ctid from asked a cross join lateral (
               select ctid from pgflow.throttled where task_id = a.task_id for update skip locked) c))
    returning p.task_id, p.root_id, p.attempt
), unparked as (
    delete from pgflow.parked p where p.ctid = any(array(
        select c.ctid from asked a cross join lateral (
               select ctid from pgflow.parked where task_id = a.task_id for update skip locked) c))
    returning p.task_id, p.root_id, p.attempt
), moved as materialized (
    select m.task_id, m.root_id, m.attempt, m.worker_id, m.epoch, m.queue, m.slot, t.parent_id, n.now
      from (select pgflow.now() as now offset 0) n
     cross join (
           select task_id, root_id, attempt, worker_id, epoch, queue, slot from unleased
           union all select task_id, root_id, attempt, null, null, queue, slot from unqueued
           union all select task_id, root_id, attempt, null, null, null, null from undelayed
           union all select task_id, root_id, attempt, null, null, null, null from unwaited
           union all select task_id, root_id, attempt, null, null, null, null from unthrottled
           union all select task_id, root_id, attempt, null, null, null, null from unparked) m
     cross join lateral (select parent_id from pgflow.task where root_id = m.root_id and id = m.task_id offset 0) t
), ended as (
    insert into pgflow.outcome (root_id, task_id, parent_id, state, attempt, finished_at)
    select m.root_id, m.task_id, m.parent_id, 'cancelled', m.attempt, m.now from moved m
), told as (
    insert into pgflow.event (root_id, task_id, type, attempt, at, worker_id, actor, data)
    select m.root_id, m.task_id, v.type, m.attempt, m.now, m.worker_id, %(actor)s::text, v.data
      from moved m cross join (values ('task.cancelled'::pgflow.event_type, null::jsonb),
                                      ('workflow.finished', '{"state": "cancelled"}')) v(type, data)
     where v.type = 'task.cancelled' or exists (
           select from pgflow.event e where e.root_id = m.root_id and e.task_id = m.task_id
              and e.key = '1' and e.type = 'workflow.started')
), to_tell as (
    insert into pgflow.cancellation (worker_id, task_id, epoch, at)
    select m.worker_id, m.task_id, m.epoch, m.now from moved m where m.worker_id is not null
    returning worker_id
), told_of as (
    select array_agg(m.parent_id), array_agg(m.root_id), array_agg(1) from moved m where m.parent_id is not null
)
select m.task_id,
       (select pgflow.arrive(t.a, t.b, t.c, null, null, null, null) from told_of as t(a, b, c) where t.a is not null),
       (select count(pg_notify('pgflow.control', '')) from (select 1 from to_tell limit 1) once),
       (select pgflow.admit(array_agg(f.queue), array_agg(f.slot)) from moved f
         where f.slot is not null having count(*) > 0)
  from moved m
