-- Guarantees: how many workers are alive and how many fell silent, and the queues that have ready tasks but no worker.
-- Index: ready_lane; workers are few.
with clock as materialized (
    select n.now from (select pgflow.now() as now offset 0) n
), open as materialized (
    select w.queues, w.host, w.lease_until >= c.now as alive
      from clock c join pgflow.worker w on w.closed_at is null
)
select (select count(*) from open o where o.alive) as alive,
       (select count(*) from open o where not o.alive) as silent,
       (select count(distinct o.host) from open o where o.alive) as hosts,
       array(select distinct r.queue::text from pgflow.ready r
              where not exists (select from open o where o.alive and r.queue = any(o.queues))
                and not exists (select from pgflow.queue q where q.name = r.queue and q.paused_at is not null)
              order by 1) as unserved,
       array(select q.name::text from pgflow.queue q where q.paused_at is not null order by 1) as paused
