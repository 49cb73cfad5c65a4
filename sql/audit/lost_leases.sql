-- Guarantees: leases that were taken back from workers that died, fell silent or overran a deadline, newest first.
-- Columns: at, task_id, run_id, name, attempt, crashes, worker, why, state_now
-- Parameters: since interval = '1 day', limit integer = 50
-- Index: none, because events are not indexed by time; partitions that rest since before then are not read.
with horizon as materialized (
    select n.now - %(since)s::interval as since,
           (select min(p.lower) from pgflow.partition p
             where p.idle_since is null or p.idle_since > n.now - %(since)s::interval) as root_id
      from (select pgflow.now() as now offset 0) n
), lost as materialized (
    select e.id, e.root_id, e.task_id, e.at, e.attempt, e.worker_id, (e.data->>'crashes')::integer as crashes
      from pgflow.event e
     where e.root_id >= (select root_id from horizon) and e.at >= (select since from horizon)
       and e.type = 'lease.expired'
     order by e.at desc, e.id desc limit %(limit)s::integer
)
select l.at, l.task_id, l.root_id as run_id, t.name, l.attempt, l.crashes,
       coalesce(w.host || ':' || w.pid, l.worker_id::text) as worker, w.closed_why as why,
       (select s.state::text from pgflow.task_state s where s.root_id = l.root_id and s.id = l.task_id) as state_now
  from lost l
  join pgflow.task t on t.root_id = l.root_id and t.id = l.task_id
  left join pgflow.worker w on w.id = l.worker_id
 order by l.at desc, l.id desc
