-- Guarantees: what is measured of the engine, a row a value: the metric, up to two labels, the value. What may be many is
-- counted up to a hundred thousand, each lane, reason and queue for itself, so that a deep one hides no other. The places
-- are looked at as they are at this instant; what happened, over the last minute.
-- Index: ready_lane, lease_pkey, delayed_reason, delayed_due, throttled_turn, parked_pkey, outcome_failed, schedule_next; the
-- other tables hold a few rows.
with recursive at as materialized (
    select pgflow.now() as now
), lane as (
    (select r.queue, r.priority from pgflow.ready r order by r.queue, r.priority limit 1)
    union all
    select n.queue, n.priority
      from lane l
     cross join lateral (
           select r.queue, r.priority from pgflow.ready r
            where (r.queue, r.priority) > (l.queue, l.priority) order by r.queue, r.priority limit 1) n
), waiting as materialized (
    select l.queue, l.priority, w.tasks, w.head
      from lane l
     cross join lateral (
           select count(*) as tasks, min(r.seq) as head
             from (select r.seq from pgflow.ready r
                    where r.queue = l.queue and r.priority = l.priority order by r.seq limit 100000) r) w
), held as (
    (select h.queue from pgflow.throttled h order by h.queue limit 1)
    union all
    select n.queue
      from held l
     cross join lateral (select h.queue from pgflow.throttled h where h.queue > l.queue order by h.queue limit 1) n
)
select 'queued', w.queue, (array['critical', 'high', 'normal', 'low'])[w.priority + 1], w.tasks::float8 from waiting w
union all
select 'queued_age', w.queue, (array['critical', 'high', 'normal', 'low'])[w.priority + 1],
       greatest(0, extract(epoch from a.now - greatest(t.created_at, t.due_at)))::float8
  from at a
 cross join waiting w
  join pgflow.ready r on r.queue = w.queue and r.priority = w.priority and r.seq = w.head
  join pgflow.task t on t.root_id = r.root_id and t.id = r.task_id
union all
select 'running', null, null, count(*)::float8 from (select from pgflow.lease limit 100000) l
union all
select 'delayed', r.reason, null, d.tasks::float8
  from (values ('scheduled'), ('retrying'), ('sleeping')) r(reason)
 cross join lateral (
       select count(*) as tasks
         from (select from pgflow.delayed d
                where d.reason = r.reason::pgflow.state limit 100000) d) d
 where d.tasks > 0
union all
select 'timer_late', null, null, greatest(0, extract(epoch from a.now - (select min(due_at) from pgflow.delayed)))::float8
  from at a
union all
select 'throttled', l.queue, null, t.tasks::float8
  from held l
 cross join lateral (
       select count(*) as tasks
         from (select from pgflow.throttled h where h.queue = l.queue order by h.slot limit 100000) h) t
union all
select 'parked', p.reason::text, null, count(*)::float8
  from (select reason from pgflow.parked order by task_id limit 100000) p group by p.reason
union all
select 'dead_letters', null, null, count(*)::float8
  from (select from pgflow.outcome o where o.state = 'failed' limit 100000) o
union all
select 'schedule_late', null, null, greatest(0, extract(epoch from a.now - (
       select min(s.next_at) from pgflow.schedule s where s.next_at is not null and s.paused_at is null)))::float8
  from at a
union all
select 'schedules', case when s.paused_at is null then 'active' else 'paused' end, null, count(*)::float8
  from pgflow.schedule s where s.next_at is not null group by 2
union all
select 'leader_age', null, null, extract(epoch from a.now - l.seen_at)::float8 from at a cross join pgflow.leader l
union all
select 'leader_term', null, null, l.term::float8 from pgflow.leader l
union all
select 'workers', case when w.lease_until < a.now then 'silent' else 'alive' end, null, count(*)::float8
  from at a cross join pgflow.worker w where w.closed_at is null group by 2
union all
select 'worker_slots', null, null, coalesce(sum(w.concurrency), 0)::float8
  from at a cross join pgflow.worker w where w.closed_at is null and w.lease_until >= a.now
union all
select 'paused_queues', null, null, count(*)::float8 from pgflow.queue q where q.paused_at is not null
union all
select 'happened', e.type::text, null, round(sum(e.weight))::float8
  from at a cross join lateral pgflow.events_since(a.now - interval '1 minute', 400) e group by e.type
