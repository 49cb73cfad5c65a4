-- Guarantees: up to `limit` ready tasks of each of these queues that took their seq before the given mark, and so have
-- waited longer than the queue allows, are one priority more urgent, with a new seq. One being claimed is left alone.
-- Index: ready_lane.
with aged as (
    update pgflow.ready r set priority = r.priority - 1, seq = default where r.ctid = any(array(
        select c.ctid
          from unnest(%(queues)s::text[], %(marks)s::bigint[]) as q(name, mark)
         cross join unnest(array[1, 2, 3]::smallint[]) as p(priority)
         cross join lateral (
               select ctid from pgflow.ready
                where queue = q.name and priority = p.priority and seq < q.mark
                order by seq limit %(limit)s::integer for update skip locked) c))
    returning r.queue
)
select count(*), (select pgflow.wake(array_agg(distinct a.queue)) from aged a having count(*) > 0) from aged
