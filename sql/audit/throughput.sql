-- Guarantees: how much was enqueued, started and ended in each stretch of time, newest first.
-- Columns: at, enqueued, started, completed, failed, retried, cancelled, lost_leases
-- Parameters: since interval = '1 hour', every interval = '1 minute'
-- Index: none, because events are not indexed by time; partitions that rest since before then are not read.
with horizon as materialized (
    select b.now, b.since,
           (select min(p.lower) from pgflow.partition p where p.idle_since is null or p.idle_since > b.since) as root_id
      from (select n.now, date_bin(%(every)s::interval, n.now - %(since)s::interval, '2000-01-01Z') as since
              from (select pgflow.now() as now offset 0) n) b
), happened as (
    select date_bin(%(every)s::interval, e.at, '2000-01-01Z') as at, e.type::text as type, count(*) as count
      from pgflow.event e
     where e.root_id >= (select root_id from horizon) and e.at >= (select since from horizon)
       and e.type in ('task.started', 'task.completed', 'task.failed', 'task.retried', 'task.cancelled',
                      'lease.expired')
     group by 1, 2
    union all
    select date_bin(%(every)s::interval, t.created_at, '2000-01-01Z'), 'task.enqueued', count(*)
      from pgflow.task t
     where t.root_id >= (select root_id from horizon) and t.created_at >= (select since from horizon)
     group by 1
)
select s.at, coalesce(sum(h.count) filter (where h.type = 'task.enqueued'), 0)::bigint as enqueued,
       coalesce(sum(h.count) filter (where h.type = 'task.started'), 0)::bigint as started,
       coalesce(sum(h.count) filter (where h.type = 'task.completed'), 0)::bigint as completed,
       coalesce(sum(h.count) filter (where h.type = 'task.failed'), 0)::bigint as failed,
       coalesce(sum(h.count) filter (where h.type = 'task.retried'), 0)::bigint as retried,
       coalesce(sum(h.count) filter (where h.type = 'task.cancelled'), 0)::bigint as cancelled,
       coalesce(sum(h.count) filter (where h.type = 'lease.expired'), 0)::bigint as lost_leases
  from horizon z cross join lateral generate_series(z.since, z.now, %(every)s::interval) as s(at)
  left join happened h on h.at = s.at
 group by s.at
 order by s.at desc
