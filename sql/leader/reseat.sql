-- Guarantees: up to `limit` stragglers of these lanes, rows at or above the safe position that the published floors
-- have passed, get a new seq, so that every claim sees them again. One that is just being claimed is left alone.
-- Index: ready_lane.
with reseated as (
    update pgflow.ready r set seq = default where r.ctid = any(array(
        select c.ctid
          from unnest(%(queues)s::text[], %(priorities)s::smallint[], %(lows)s::bigint[], %(highs)s::bigint[])
               as lane(queue, priority, low, high)
         cross join lateral (
               select ctid from pgflow.ready
                where queue = lane.queue and priority = lane.priority and seq >= lane.low and seq < lane.high
                order by seq limit %(limit)s::integer for update skip locked) c
         limit %(limit)s::integer))
    returning r.queue
)
select count(*), (select pgflow.wake(array_agg(distinct r.queue)) from reseated r) from reseated
