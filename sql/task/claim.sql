-- Guarantees: at most `limit` ready tasks, lane by lane in the order given and oldest first within a lane, become
-- leases of this worker; no two workers get the same one; nobody waits for anybody's lock. The rows may be acted on
-- only once this statement's transaction has committed. A bulky input is left behind, to be fetched when its task's turn
-- comes, so that a batch is bounded in bytes. No outer ORDER BY: it would lock more rows than it returns.
-- A scan starts at the lane's floor, so the dead entries of earlier claims are never read.
-- Index: ready_lane; task_pkey.
with claimed as (
    delete from pgflow.ready r where r.ctid = any(array(
        select c.ctid
          from unnest(%(queues)s::text[], %(priorities)s::smallint[], %(floors)s::bigint[])
               as lane(queue, priority, floor)
         cross join lateral (
               select ctid from pgflow.ready
                where queue = lane.queue and priority = lane.priority and seq >= lane.floor
                order by seq limit %(limit)s::integer for update skip locked) c
         limit %(limit)s::integer))
    returning r.task_id, r.root_id, r.queue, r.priority, r.seq, r.attempt, r.crashes, r.slot
), known as materialized (
    select c.task_id, c.root_id, c.queue, c.priority, c.seq, c.attempt, (c.crashes + 1)::smallint as crashes,
           c.slot, t.parent_id, t.name, t.timeout, t.retry, t.trace, t.key,
           case when t.size is null then t.input end as input
      from claimed c cross join lateral (
           select * from pgflow.task where root_id = c.root_id and id = c.task_id offset 0) t
), leased as (
    insert into pgflow.lease (task_id, root_id, parent_id, epoch, attempt, crashes, worker_id, claimed_at, deadline,
                              queue, slot)
    select k.task_id, k.root_id, k.parent_id, k.seq, k.attempt, k.crashes, %(worker)s::bigint, c.now,
           c.now + k.timeout + %(grace)s::float8 * interval '1 s',
           case when k.slot is not null then k.queue end, k.slot
      from (select pgflow.now() as now offset 0) c cross join known k
), told as (
    insert into pgflow.event (root_id, task_id, type, attempt, at, worker_id)
    select k.root_id, k.task_id, 'task.started', k.attempt, c.now, %(worker)s::bigint
      from (select pgflow.now() as now offset 0) c cross join known k
)
select k.task_id, k.seq, k.root_id, k.attempt, k.crashes, k.name, k.queue, k.priority, k.input,
       extract(epoch from k.timeout)::float8, k.retry, k.trace, k.key
  from known k
