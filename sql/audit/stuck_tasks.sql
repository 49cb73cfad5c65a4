-- Guarantees: tasks that do not move on by themselves, grouped by why. A task that just waits for its turn, its children
-- or its hour is not stuck.
-- Columns: why, state, queue, name, tasks, since, oldest_task_id
-- Parameters: older interval = '1 minute', limit integer = 50
-- Index: none, because the places hold only what is in motion; task_pkey.
with clock as materialized (
    select n.now, n.now - %(older)s::interval as horizon,
           coalesce((select 'the leader was last seen ' || l.seen_at::timestamptz(0) from pgflow.leader l
                      where l.seen_at < n.now - interval '1 minute'),
                    case when not exists (select from pgflow.leader) then 'there has never been a leader' end,
                    'the leader is alive but does not get to it') as leader
      from (select pgflow.now() as now offset 0) n
), serving as materialized (
    select w.queues, w.tasks from pgflow.worker w
     where w.closed_at is null and w.lease_until >= (select now from clock)
), known as materialized (
    select distinct q.queue, t.name
      from serving s cross join lateral unnest(s.queues) as q(queue) cross join lateral unnest(s.tasks) as t(name)
), moving as (
    select p.task_id, p.state, t.queue, t.name, p.due_at, p.worker_id,
           coalesce(p.claimed_at, greatest(t.created_at, t.due_at)) as since, t.due_at as asked_for
      from pgflow.place p
      join pgflow.task t on t.root_id = p.root_id and t.id = p.task_id
     where p.state not in ('completed', 'failed', 'cancelled', 'skipped')
), judged as (
    select m.*, case
        when m.state = 'queued' and q.paused_at is not null
            then 'its queue is paused' || coalesce(' by ' || q.paused_by, '')
        when m.state in ('queued', 'scheduled') and greatest(m.asked_for, m.since) < c.horizon
             and not exists (select from serving s where m.queue = any(s.queues)) then 'no worker serves its queue'
        when m.state in ('queued', 'scheduled') and greatest(m.asked_for, m.since) < c.horizon
             and not exists (select from known k where k.queue = m.queue and k.name = m.name)
            then 'no worker of its queue has code for it'
        when m.state in ('scheduled', 'retrying', 'sleeping', 'waiting') and m.due_at < c.horizon
            then 'due, but nobody fires timers: ' || c.leader
        when m.state = 'running' and w.id is null then 'its worker is unknown'
        when m.state = 'running' and w.closed_at < c.horizon
            then 'its worker ended (' || w.closed_why || ') and the lease is not taken back: ' || c.leader
        when m.state = 'running' and w.lease_until < c.horizon
            then 'its worker is silent and the lease is not taken back: ' || c.leader
        when m.state = 'running' and l.deadline < c.horizon then 'past its deadline and not ended: ' || c.leader
        when m.state = 'throttled' then 'held back by the limit of ' || h.queue
        when m.state = 'paused' then 'its run is paused' || coalesce(' by ' || r.actor, '')
        when m.state = 'needs_attention' then concat_ws(': ', 'needs attention', k.detail->>'type')
        end as why
      from clock c cross join moving m
      left join pgflow.queue q on q.name = m.queue
      left join pgflow.worker w on w.id = m.worker_id
      left join pgflow.lease l on l.task_id = m.task_id and m.state = 'running'
      left join pgflow.throttled h on h.task_id = m.task_id
      left join pgflow.parked k on k.task_id = m.task_id
      left join pgflow.paused_run r on r.root_id = k.root_id
)
select j.why, j.state::text as state, j.queue, j.name, count(*) as tasks, min(j.since) as since,
       min(j.task_id) as oldest_task_id
  from judged j where j.why is not null
 group by j.why, j.state, j.queue, j.name
 order by count(*) desc, min(j.since) limit %(limit)s::integer
