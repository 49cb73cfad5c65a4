-- Guarantees: each of these workflows is told, once, to cancel itself: by an event in its history, and by being made to
-- look. It arrives a million times: more than it can be waiting for, now or when it is just about to; a workflow that
-- can be told so never sleeps outside of its inbox. Where it is running, its worker is told through the heart.
-- Index: task_pkey, outcome_pkey, delayed_pkey, inbox_pkey, parked_pkey, lease_pkey, event_mark.
with asked as materialized (
    select a.root_id, a.task_id
      from unnest(%(roots)s::bigint[], %(tasks)s::bigint[]) as a(root_id, task_id)
     where not exists (select from pgflow.outcome o where o.root_id = a.root_id and o.task_id = a.task_id)
), told as (
    insert into pgflow.event (root_id, task_id, type, at, actor)
    select a.root_id, a.task_id, 'workflow.cancelling', pgflow.now(), %(actor)s::text from asked a
     where not exists (select from pgflow.event e where e.root_id = a.root_id and e.task_id = a.task_id
                         and e.type = 'workflow.cancelling' and e.id > coalesce((
                             select max(r.id) from pgflow.event r where r.root_id = a.root_id
                                and r.task_id = a.task_id and r.type = 'task.redriven'), 0))
), undelayed as (
    delete from pgflow.delayed p where p.ctid = any(array(
        select c.ctid from asked a cross join lateral (
               select ctid from pgflow.delayed where task_id = a.task_id for update skip locked) c))
    returning p.task_id, p.root_id, p.attempt, p.crashes
), unparked as (
    delete from pgflow.parked p where p.ctid = any(array(
        select c.ctid from asked a cross join lateral (
               select ctid from pgflow.parked where task_id = a.task_id for update skip locked) c))
    returning p.task_id, p.root_id, p.attempt, p.crashes
), to_tell as (
    insert into pgflow.cancellation (worker_id, task_id, epoch, at)
    select l.worker_id, l.task_id, l.epoch, pgflow.now()
      from asked a cross join lateral (select * from pgflow.lease where task_id = a.task_id) l
    on conflict do nothing
    returning worker_id
), moved as materialized (
    select * from undelayed union all select * from unparked
)
select a.task_id,
       (select pgflow.make_ready(array_agg(m.task_id), array_agg(m.root_id), array_agg(m.attempt), array_agg(m.crashes))
          from moved m having count(*) > 0),
       (select pgflow.arrive(array_agg(b.task_id order by b.task_id), null,
                             array_fill(1000000, array[count(*)::integer]), null, null, null, null) from asked b),
       (select count(pg_notify('pgflow.control', '')) from (select 1 from to_tell limit 1) once)
  from asked a
