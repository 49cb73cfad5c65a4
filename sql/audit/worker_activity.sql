-- Guarantees: every worker that is open or that did something lately, with what it did and what it holds now.
-- Columns: worker_id, host, pid, state, queues, concurrency, holds, oldest_claim, started, completed, failed, retried,
-- Columns: lost_leases, seen_at, started_at
-- Parameters: since interval = '1 hour'
-- Index: none, because events are not indexed by time; partitions that rest since before then are not read.
with horizon as materialized (
    select n.now, n.now - %(since)s::interval as since,
           (select min(p.lower) from pgflow.partition p
             where p.idle_since is null or p.idle_since > n.now - %(since)s::interval) as root_id
      from (select pgflow.now() as now offset 0) n
), did as materialized (
    select e.worker_id, count(*) filter (where e.type = 'task.started') as started,
           count(*) filter (where e.type = 'task.completed') as completed,
           count(*) filter (where e.type = 'task.failed') as failed,
           count(*) filter (where e.type = 'task.retried') as retried,
           count(*) filter (where e.type = 'lease.expired') as lost_leases
      from pgflow.event e
     where e.root_id >= (select root_id from horizon) and e.at >= (select since from horizon)
       and e.worker_id is not null
     group by e.worker_id
), holding as (
    select l.worker_id, count(*) as tasks, min(l.claimed_at) as oldest from pgflow.lease l group by l.worker_id
)
select w.id as worker_id, w.host, w.pid,
       case when w.closed_at is not null then 'closed: ' || w.closed_why
            when w.lease_until < z.now then 'silent' else 'alive' end as state,
       w.queues, w.concurrency, coalesce(h.tasks, 0) as holds, h.oldest as oldest_claim,
       coalesce(d.started, 0) as started, coalesce(d.completed, 0) as completed, coalesce(d.failed, 0) as failed,
       coalesce(d.retried, 0) as retried, coalesce(d.lost_leases, 0) as lost_leases, w.seen_at, w.started_at
  from horizon z cross join pgflow.worker w
  left join did d on d.worker_id = w.id
  left join holding h on h.worker_id = w.id
 where w.closed_at is null or w.closed_at >= z.since or d.worker_id is not null or h.worker_id is not null
 order by w.closed_at is not null, w.host, w.started_at desc
