-- Guarantees: what is measured of the engine, a row a value: the metric, up to two labels, the value. What may be many is
-- counted up to a million. The places are looked at as they are at this instant; what happened, over the last minute.
-- Index: ready_lane, lease_pkey, delayed_reason, delayed_due, throttled_turn, outcome_failed, schedule_next; the other
-- tables hold a few rows.
with at as materialized (
    select pgflow.now() as now
), waiting as (
    select r.queue, r.priority, count(*) as tasks, min(r.seq) as head
      from (select queue, priority, seq from pgflow.ready order by queue, priority, seq limit 1000000) r
     group by r.queue, r.priority
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
select 'running', null, null, count(*)::float8 from (select from pgflow.lease limit 1000000) l
union all
select 'delayed', d.reason::text, null, count(*)::float8
  from (select reason from pgflow.delayed order by reason, task_id limit 1000000) d group by d.reason
union all
select 'timer_late', null, null, greatest(0, extract(epoch from a.now - (select min(due_at) from pgflow.delayed)))::float8
  from at a
union all
select 'throttled', h.queue, null, count(*)::float8
  from (select queue from pgflow.throttled order by queue limit 1000000) h group by h.queue
union all
select 'parked', p.reason::text, null, count(*)::float8
  from (select reason from pgflow.parked limit 1000000) p group by p.reason
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
  from at a cross join lateral pgflow.events_since(a.now - interval '1 minute', 500) e group by e.type
