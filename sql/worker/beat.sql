-- Guarantees: one row update renews everything that an executor holds; a worker that was closed (reaped) never renews
-- again, one whose lease ran out but whom nobody has reaped may. Answers what the executors must know: cancellations
-- (each told once), tasks past their deadline, paused queues and the lanes' safe positions.
-- Index: worker_pkey, cancellation_pkey, lease_deadline, lane_pkey.
with beat as materialized (
    select w.tid, b.running, b.floors, c.now
      from (select pgflow.now() as now offset 0) c
     cross join rows from (unnest(%(ids)s::bigint[]), unnest(%(running)s::integer[]),
                           jsonb_array_elements(%(floors)s::jsonb)) as b(id, running, floors)
     cross join lateral (
           select ctid as tid from pgflow.worker where id = b.id and closed_at is null for update) w
), renewed as (
    update pgflow.worker w
       set lease_until = b.now + %(lease)s::float8 * interval '1 s', seen_at = b.now, running = b.running,
           floors = b.floors
      from beat b where w.ctid = b.tid and w.closed_at is null
    returning w.id
), told as (
    delete from pgflow.cancellation where worker_id = any(%(ids)s::bigint[])
    returning worker_id, task_id, epoch
)
select (select coalesce(array_agg(r.id), '{}') from renewed r),
       (select coalesce(jsonb_agg(jsonb_build_array(t.worker_id, t.task_id, t.epoch)), '[]') from told t),
       (select coalesce(array_agg(distinct l.worker_id), '{}') from (
               select worker_id from pgflow.lease where deadline < (select pgflow.now())
                order by deadline limit 1000) l
         where l.worker_id = any(%(ids)s::bigint[])),
       (select coalesce(array_agg(q.name), '{}') from pgflow.queue q where q.paused_at is not null),
       (select coalesce(jsonb_agg(jsonb_build_array(l.queue, l.priority, l.safe)), '[]') from pgflow.lane l)
