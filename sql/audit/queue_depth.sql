-- Guarantees: what is in motion in each lane (queue and priority), whether it is paused and how many workers serve it.
-- Columns: queue, priority, queued, next_since, running, delayed, waiting, throttled, parked, workers, paused_at
-- Parameters: none
-- Index: ready_lane, task_pkey; the places are read whole, because they hold only what is in motion.
with head as (
    select r.queue, r.priority, count(*) as queued, min(r.seq) as seq from pgflow.ready r group by r.queue, r.priority
), moving as (
    select t.queue, t.priority, count(*) filter (where p.state = 'running') as running,
           count(*) filter (where p.state in ('scheduled', 'retrying', 'sleeping')) as delayed,
           count(*) filter (where p.state = 'waiting') as waiting,
           count(*) filter (where p.state = 'throttled') as throttled,
           count(*) filter (where p.state in ('paused', 'needs_attention')) as parked
      from pgflow.place p
      join pgflow.task t on t.root_id = p.root_id and t.id = p.task_id
     where p.state in ('running', 'scheduled', 'retrying', 'sleeping', 'waiting', 'throttled', 'paused',
                       'needs_attention')
     group by t.queue, t.priority
), served as (
    select s.queue, count(*) as workers from pgflow.worker w cross join lateral unnest(w.queues) as s(queue)
     where w.closed_at is null group by s.queue
)
select l.queue, (array['critical', 'high', 'normal', 'low'])[priority + 1] as priority, coalesce(h.queued, 0) as queued,
       (select greatest(t.created_at, t.due_at)
          from pgflow.ready r join pgflow.task t on t.root_id = r.root_id and t.id = r.task_id
         where r.queue = h.queue and r.priority = h.priority and r.seq = h.seq) as next_since,
       coalesce(m.running, 0) as running, coalesce(m.delayed, 0) as delayed, coalesce(m.waiting, 0) as waiting,
       coalesce(m.throttled, 0) as throttled, coalesce(m.parked, 0) as parked,
       coalesce((select s.workers from served s where s.queue = l.queue), 0) as workers,
       (select q.paused_at from pgflow.queue q where q.name = l.queue) as paused_at
  from head h full join moving m using (queue, priority)
 cross join lateral (select coalesce(h.queue, m.queue) as queue) l
 order by 1, coalesce(h.priority, m.priority)
