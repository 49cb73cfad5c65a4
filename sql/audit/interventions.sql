-- Guarantees: what people did to tasks lately (cancel, redrive, pause, resume, fork), newest first, and who it was.
-- Columns: at, event, by, task_id, run_id, name, detail
-- Parameters: since interval = '7 days', limit integer = 100
-- Index: none, because events are not indexed by time; partitions that rest since before then are not read.
with horizon as materialized (
    select n.now - %(since)s::interval as since,
           (select min(p.lower) from pgflow.partition p
             where p.idle_since is null or p.idle_since > n.now - %(since)s::interval) as root_id
      from (select pgflow.now() as now offset 0) n
)
select e.at, e.type::text as event, e.actor as by, e.task_id, e.root_id as run_id, t.name, e.data::text as detail
  from pgflow.event e
  join pgflow.task t on t.root_id = e.root_id and t.id = e.task_id
 where e.root_id >= (select root_id from horizon) and e.at >= (select since from horizon)
   and e.type in ('task.cancelled', 'task.redriven', 'task.paused', 'task.resumed', 'workflow.cancelling',
                  'workflow.forked')
   and (e.type <> 'workflow.forked' or e.task_id = e.root_id)
 order by e.at desc, e.id desc limit %(limit)s::integer
