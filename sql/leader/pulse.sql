-- Guarantees: what the leader must know to choose its next rest: both clocks, how far ready.seq has come (says whether
-- anything moved), and the next instant at which something falls due, or a schedule fires.
-- Index: schedule_next, firing_pending, delayed_due, inbox_wake, turn_open, newcomer_queue, lease_deadline, lease_worker; workers are few.
select extract(epoch from clock_timestamp())::float8 as real_now,
       extract(epoch from n.now)::float8 as now,
       (select last_value from pgflow.ready_seq_seq) as seq,
       extract(epoch from least(
           (select due_at from pgflow.delayed order by due_at limit 1),
           (select wake_at from pgflow.inbox where wake_at is not null order by wake_at limit 1),
           (select open_at from pgflow.turn where open_at is not null order by open_at limit 1),
           (select min(open_at) from pgflow.limit),
           (select n.now from pgflow.newcomer limit 1), s.next_at))::float8 as due,
       extract(epoch from least(
           (select min(lease_until) from pgflow.worker where closed_at is null),
           (select min(w.closed_at) from pgflow.worker w
             where w.closed_at is not null and exists (select from pgflow.lease l where l.worker_id = w.id)),
           (select deadline + %(grace)s::float8 * interval '1 s' from pgflow.lease
             where deadline is not null order by deadline limit 1)))::float8 as expiry,
       extract(epoch from pg_postmaster_start_time())::float8 as server_started,
       extract(epoch from s.next_at)::float8 as scheduled,
       exists (select from pgflow.firing where state = 'pending') as pending
  from (select pgflow.now() as now offset 0) n
  left join (select next_at from pgflow.schedule where next_at is not null and paused_at is null
              order by next_at limit 1) s on true
