-- Guarantees: every queue that has a ready or running task, a worker or a setting, with how deep it is.
-- Index: ready_lane; the other tables are read whole, because they hold only what is in motion.
with depth as (
    select queue as name, count(*) as queued, min(task_id) as oldest from pgflow.ready group by queue
), moving as (
    select t.queue as name, count(*) filter (where m.running) as running, count(*) filter (where not m.running) as delayed
      from (select root_id, task_id, true as running from pgflow.lease
            union all select root_id, task_id, false from pgflow.delayed) m
      join pgflow.task t on t.root_id = m.root_id and t.id = m.task_id
     group by t.queue
), served as (
    select q as name, count(*) as workers from pgflow.worker w cross join lateral unnest(w.queues) q
     where w.closed_at is null group by q
)
select name, coalesce(d.queued, 0), coalesce(m.running, 0), coalesce(m.delayed, 0),
       (select t.created_at from pgflow.task t where t.id = d.oldest limit 1),
       coalesce(s.workers, 0), q.paused_at, q.paused_by
  from depth d full join moving m using (name) full join served s using (name) full join pgflow.queue q using (name)
 order by name
