-- Guarantees: how long tasks that started lately had waited in each lane, from when they were due to their first start.
-- Columns: queue, priority, started, median, p95, p99, longest
-- Parameters: since interval = '1 hour'
-- Index: none, because events are not indexed by time; partitions that rest since before then are not read.
with horizon as materialized (
    select n.now - %(since)s::interval as since,
           (select min(p.lower) from pgflow.partition p
             where p.idle_since is null or p.idle_since > n.now - %(since)s::interval) as root_id
      from (select pgflow.now() as now offset 0) n
), first_starts as (
    select e.root_id, e.task_id, min(e.at) as at
      from pgflow.event e
     where e.root_id >= (select root_id from horizon) and e.at >= (select since from horizon)
       and e.type = 'task.started' and e.attempt = 1
     group by e.root_id, e.task_id
)
select t.queue, (array['critical', 'high', 'normal', 'low'])[t.priority + 1] as priority, count(*) as started,
       percentile_cont(0.5) within group (order by w.waited) as median,
       percentile_cont(0.95) within group (order by w.waited) as p95,
       percentile_cont(0.99) within group (order by w.waited) as p99, max(w.waited) as longest
  from first_starts s
  join pgflow.task t on t.root_id = s.root_id and t.id = s.task_id
 cross join lateral (select s.at - greatest(t.created_at, t.due_at) as waited) w
 group by t.queue, t.priority
 order by t.queue, t.priority
