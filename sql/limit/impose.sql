-- Guarantees: up to `limit` tasks of the queue that became ready before it was limited are throttled instead, and its
-- leases of before are counted. Repeated until it returns 0. One that is just being claimed is missed and runs
-- uncounted, which ends with it.
-- Index: ready_lane; the leases are read whole, which happens only when a limit is set.
with gone as (
    delete from pgflow.ready r where r.ctid = any(array(
        select ctid from pgflow.ready where queue = %(queue)s::text and slot is null
         order by queue, priority, seq limit %(limit)s::integer for update skip locked))
    returning r.task_id, r.root_id, r.queue, r.priority, r.seq, r.attempt, r.crashes
), known as materialized (
    select g.*, coalesce(t.slot, '') as slot
      from gone g cross join lateral (
           select slot from pgflow.task where root_id = g.root_id and id = g.task_id offset 0) t
), held as (
    insert into pgflow.throttled (queue, slot, priority, task_id, root_id, attempt, crashes)
    select k.queue, k.slot, k.priority, k.task_id, k.root_id, k.attempt, k.crashes from known k order by k.seq
), come as (
    insert into pgflow.newcomer (queue, slot) select distinct k.queue, k.slot from known k
), counted as (
    update pgflow.lease l set queue = %(queue)s::text, slot = c.slot
      from (select h.tid, coalesce(t.slot, '') as slot
              from (select ctid as tid, root_id, task_id from pgflow.lease where slot is null for update skip locked) h
             cross join lateral (
                   select queue, slot from pgflow.task where root_id = h.root_id and id = h.task_id offset 0) t
             where t.queue = %(queue)s::text) c
     where l.ctid = c.tid
)
select count(*) from gone
