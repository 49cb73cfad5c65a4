-- Guarantees: the attempts that ran longest, of those that ended lately or are running still. Time asleep or waiting
-- does not count: it is measured from the last start.
-- Columns: task_id, run_id, name, queue, attempt, started_at, took, ended_with
-- Parameters: since interval = '1 hour', name text = '%', limit integer = 20
-- Index: none, because events are not indexed by time; partitions that rest since before then are not read.
with horizon as materialized (
    select n.now - %(since)s::interval as since, n.now,
           (select min(p.lower) from pgflow.partition p
             where p.idle_since is null or p.idle_since > n.now - %(since)s::interval) as root_id
      from (select pgflow.now() as now offset 0) n
), ended as (
    select e.root_id, e.task_id, e.id, e.attempt, e.at, e.type
      from pgflow.event e
     where e.root_id >= (select root_id from horizon) and e.at >= (select since from horizon)
       and e.type in ('task.completed', 'task.failed', 'task.retried', 'task.cancelled', 'task.released',
                      'lease.expired')
), spans as (
    select e.root_id, e.task_id, e.attempt, max(s.at) as started_at, e.at - max(s.at) as took, e.type::text as ended_with
      from ended e
      join pgflow.event s on s.root_id = e.root_id and s.task_id = e.task_id and s.attempt = e.attempt and s.id < e.id
     where s.type = 'task.started' and s.root_id >= (select root_id from horizon)
     group by e.root_id, e.task_id, e.id, e.attempt, e.at, e.type
    union all
    select l.root_id, l.task_id, l.attempt, l.claimed_at, h.now - l.claimed_at, 'still running'
      from horizon h cross join pgflow.lease l
)
select s.task_id, s.root_id as run_id, t.name, t.queue, s.attempt, s.started_at, s.took, s.ended_with
  from spans s
  join pgflow.task t on t.root_id = s.root_id and t.id = s.task_id
 where t.name like %(name)s::text
 order by s.took desc limit %(limit)s::integer
