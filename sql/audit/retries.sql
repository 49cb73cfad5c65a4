-- Guarantees: what was retried lately and why, the most frequent first, and how much of it is waiting to be tried again.
-- Columns: name, error, retries, tasks, most_attempts, last_at, last_message, waiting, next_due_at
-- Parameters: since interval = '1 hour', name text = '%', limit integer = 50
-- Index: none, because events are not indexed by time; partitions that rest since before then are not read.
with horizon as materialized (
    select n.now - %(since)s::interval as since,
           (select min(p.lower) from pgflow.partition p
             where p.idle_since is null or p.idle_since > n.now - %(since)s::interval) as root_id
      from (select pgflow.now() as now offset 0) n
), retried as (
    select e.id, e.root_id, e.task_id, e.attempt, e.at, e.data->'error'->>'type' as error,
           left(split_part(e.data->'error'->>'message', E'\n', 1), 200) as message
      from pgflow.event e
     where e.root_id >= (select root_id from horizon) and e.at >= (select since from horizon)
       and e.type = 'task.retried'
), grouped as materialized (
    select t.name, r.error, count(*) as retries, count(distinct r.task_id) as tasks, max(r.attempt) as most_attempts,
           max(r.at) as last_at, (array_agg(r.message order by r.id desc))[1] as last_message
      from retried r
      join pgflow.task t on t.root_id = r.root_id and t.id = r.task_id
     where t.name like %(name)s::text
     group by t.name, r.error
), waiting as materialized (
    select t.name, count(*) as tasks, min(d.due_at) as next_due_at
      from pgflow.delayed d
      join pgflow.task t on t.root_id = d.root_id and t.id = d.task_id
     where d.reason = 'retrying' and t.name like %(name)s::text
     group by t.name
)
select g.name, g.error, g.retries, g.tasks, g.most_attempts, g.last_at, g.last_message,
       coalesce(w.tasks, 0) as waiting, w.next_due_at
  from grouped g left join waiting w using (name)
 order by g.retries desc, g.name limit %(limit)s::integer
