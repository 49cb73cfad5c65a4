-- Guarantees: how long tasks of each name ran, from start to outcome, over all that ended lately.
-- Columns: name, attempts, failed, median, p95, p99, longest, total
-- Parameters: since interval = '1 hour', limit integer = 50
-- Index: none, because events are not indexed by time; partitions that rest since before then are not read.
with horizon as materialized (
    select n.now - %(since)s::interval as since,
           (select min(p.lower) from pgflow.partition p
             where p.idle_since is null or p.idle_since > n.now - %(since)s::interval) as root_id
      from (select pgflow.now() as now offset 0) n
), ended as (
    select e.root_id, e.task_id, e.id, e.attempt, e.at, e.type
      from pgflow.event e
     where e.root_id >= (select root_id from horizon) and e.at >= (select since from horizon)
       and e.type in ('task.completed', 'task.failed', 'task.retried')
), spans as (
    select e.root_id, e.task_id, e.type <> 'task.completed' as failed, e.at - max(s.at) as took
      from ended e
      join pgflow.event s on s.root_id = e.root_id and s.task_id = e.task_id and s.attempt = e.attempt and s.id < e.id
     where s.type = 'task.started' and s.root_id >= (select root_id from horizon)
     group by e.root_id, e.task_id, e.id, e.at, e.type
)
select t.name, count(*) as attempts, count(*) filter (where s.failed) as failed,
       percentile_cont(0.5) within group (order by s.took) as median,
       percentile_cont(0.95) within group (order by s.took) as p95,
       percentile_cont(0.99) within group (order by s.took) as p99,
       max(s.took) as longest, sum(s.took) as total
  from spans s
  join pgflow.task t on t.root_id = s.root_id and t.id = s.task_id
 group by t.name
 order by sum(s.took) desc limit %(limit)s::integer
