-- Guarantees: up to `limit` leases of these closed workers, or past their deadline by `grace`, are found and moved in
-- one step: to ready with one more attempt and the crash kept or, when the task has now taken down `max_crashes`
-- workers, to a failed outcome, which arrives at its parent. Where it is known which tasks of these workers ran
-- (`blamed`), their others go back as if they had never been claimed; of other workers nothing is known. A limited task
-- keeps its slot, for it runs again. Never waits for a lease.
-- Index: lease_worker, lease_deadline; task_pkey.
with taken as (
    delete from pgflow.lease l where l.ctid = any(array(
        select c.ctid from (
            select h.ctid from unnest(%(workers)s::bigint[]) as w(id) cross join lateral (
                   select ctid from pgflow.lease where worker_id = w.id limit %(limit)s::integer
                      for update skip locked) h
             limit %(limit)s::integer) c
        union all
        select d.ctid from (
            select ctid from pgflow.lease where deadline < (select pgflow.now()) - %(grace)s::float8 * interval '1 s'
             order by deadline limit %(limit)s::integer for update skip locked) d))
    returning l.task_id, l.root_id, l.parent_id, l.epoch, l.attempt, l.crashes, l.worker_id, l.queue, l.slot
), known as materialized (
    select t.task_id, t.root_id, t.parent_id, t.epoch, t.worker_id, t.attempt, t.queue, t.slot,
           (t.attempt + b.blame)::smallint as next_attempt, (t.crashes - 1 + b.blame)::smallint as crashes,
           b.blame = 1 and t.crashes >= %(max_crashes)s::integer as poisoned, c.now
      from (select pgflow.now() as now offset 0) c
     cross join taken t
     cross join lateral (
           select coalesce((t.task_id = any(%(blamed)s::bigint[])
                            or t.worker_id <> all(%(workers)s::bigint[]))::integer, 1) as blame) b
), queued as (
    insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes, slot)
    select t.queue, t.priority, k.task_id, k.root_id, k.next_attempt, k.crashes, k.slot
      from known k cross join lateral (
           select queue, priority from pgflow.task where root_id = k.root_id and id = k.task_id offset 0) t
     where not k.poisoned order by k.task_id
    returning ready.queue, ready.task_id
), ended as (
    insert into pgflow.outcome (root_id, task_id, parent_id, state, attempt, error, finished_at)
    select k.root_id, k.task_id, k.parent_id, 'failed', k.attempt,
           jsonb_build_object('type', 'WorkerDied', 'reason', 'poisoned', 'message',
               format('its worker died %%s times while running it', k.crashes)), k.now
      from known k where k.poisoned
), told as (
    insert into pgflow.event (root_id, task_id, type, attempt, at, worker_id, data)
    select k.root_id, k.task_id, 'lease.expired'::pgflow.event_type, k.attempt, k.now, k.worker_id,
           jsonb_build_object('epoch', k.epoch, 'crashes', k.crashes)
      from known k
    union all
    select k.root_id, k.task_id, v.type, k.attempt, k.now, k.worker_id, v.data
      from known k cross join (values ('task.failed'::pgflow.event_type, '{"reason": "poisoned"}'::jsonb),
                                      ('workflow.finished', '{"state": "failed", "reason": "poisoned"}')) v(type, data)
     where k.poisoned and (v.type = 'task.failed' or exists (
           select from pgflow.event e where e.root_id = k.root_id and e.task_id = k.task_id
              and e.key = '1' and e.type = 'workflow.started'))
), told_of as (
    select array_agg(k.parent_id order by k.parent_id), array_agg(k.root_id order by k.parent_id),
           array_agg(1 order by k.parent_id)
      from known k where k.poisoned and k.parent_id is not null
)
select k.task_id, k.epoch, k.worker_id, k.poisoned,
       (select pgflow.wake(array_agg(distinct q.queue)) + pgflow.park(array_agg(q.task_id))
          from queued q having count(*) > 0),
       (select pgflow.arrive(t.a, t.b, t.c, null, null, null, null) from told_of as t(a, b, c) where t.a is not null),
       (select pgflow.admit(array_agg(p.queue), array_agg(p.slot)) from known p
         where p.slot is not null and p.poisoned having count(*) > 0)
  from known k
