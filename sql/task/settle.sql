-- Guarantees: each lease that this worker still holds in that epoch ends as asked, together with all that follows from
-- it (outcome, event, arrival at the parent, the next place); a lease it no longer holds is left alone. Returns the
-- tasks really settled, or null when that is all of them. An orderly end takes the claim's crash back. A limited task
-- gives its slot back by leaving, and others are admitted at once; one that is merely released keeps it. What a
-- suspended task waits for has been recorded before, in this transaction or an earlier one.
-- Locks: leases in task order, then inbox rows in task order (in arrive), then limits by name (in admit), then ready.
-- Index: lease_pkey; task_pkey for those that become ready again.
with asked as materialized (
    select a.task_id, a.epoch, a.state, nullif(a.output, 'null') as output, nullif(a.error, 'null') as error,
           a.delay, a.due_at, a.needed
      from rows from (
           unnest(%(tasks)s::bigint[]), unnest(%(epochs)s::bigint[]), unnest(%(states)s::pgflow.state[]),
           jsonb_array_elements(%(outputs)s::jsonb), jsonb_array_elements(%(errors)s::jsonb),
           unnest(%(delays)s::float8[]), unnest(%(dues)s::timestamptz[]), unnest(%(needs)s::integer[]))
           as a(task_id, epoch, state, output, error, delay, due_at, needed)
), held as materialized (
    select l.ctid as tid, a.*
      from (select * from asked order by task_id) a cross join lateral (
           select l.ctid from pgflow.lease l
            where l.task_id = a.task_id and l.epoch = a.epoch and l.worker_id = %(worker)s::bigint
              for update) l
), freed as (
    delete from pgflow.lease l using held h where l.ctid = h.tid
    returning l.task_id, l.root_id, l.parent_id, l.attempt, (l.crashes - 1)::smallint as crashes,
              l.queue, l.slot, h.state, h.output, h.error, h.delay, h.due_at, h.needed
), done as materialized (
    select f.*, coalesce(f.due_at, c.now + make_interval(secs => f.delay)) as due, c.now
      from (select pgflow.now() as now offset 0) c cross join freed f
), ended as (
    insert into pgflow.outcome (root_id, task_id, parent_id, state, attempt, output, error, finished_at)
    select d.root_id, d.task_id, d.parent_id, d.state, d.attempt, d.output, d.error, d.now
      from done d where d.state in ('completed', 'failed', 'cancelled')
), postponed as (
    insert into pgflow.delayed (task_id, root_id, due_at, reason, attempt, crashes)
    select d.task_id, d.root_id, d.due, d.state, d.attempt + (d.state = 'retrying')::int, d.crashes
      from done d where d.state in ('retrying', 'sleeping', 'scheduled')
    returning delayed.due_at
), released as (
    insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes, slot)
    select t.queue, t.priority, d.task_id, d.root_id, d.attempt, d.crashes, d.slot
      from done d cross join lateral (
           select queue, priority from pgflow.task where root_id = d.root_id and id = d.task_id offset 0) t
     where d.state = 'queued' order by d.task_id
    returning ready.queue, ready.task_id
), told as (
    insert into pgflow.event (root_id, task_id, type, attempt, at, worker_id, data)
    select d.root_id, d.task_id,
           (case d.state when 'completed' then 'task.completed' when 'failed' then 'task.failed'
                         when 'cancelled' then 'task.cancelled' when 'retrying' then 'task.retried'
                         else 'task.released' end)::pgflow.event_type,
           d.attempt, d.now, %(worker)s::bigint,
           case when d.due is not null or d.error is not null then jsonb_strip_nulls(jsonb_build_object(
                'due_at', d.due, 'error', d.error - 'traceback')) end
      from done d where d.state not in ('sleeping', 'waiting')
), told_of as (
    select array_agg(s.task_id), array_agg(s.root_id), array_agg(s.count), array_agg(s.needed), array_agg(s.wake_at),
           array_agg(s.attempt), array_agg(s.crashes)
      from (select d.parent_id as task_id, d.root_id, 1 as count, null::int as needed, null::timestamptz as wake_at,
                   null::smallint as attempt, null::smallint as crashes
              from done d where d.parent_id is not null and d.state in ('completed', 'failed', 'cancelled')
            union all
            select d.task_id, d.root_id, 0, d.needed, d.due, d.attempt, d.crashes
              from done d where d.state = 'waiting') s
)
select case when count(*) < cardinality(%(tasks)s::bigint[]) then array_agg(d.task_id) end, count(*),
       (select pgflow.arrive(t.a, t.b, t.c, t.d, t.e, t.f, t.g) from told_of as t(a, b, c, d, e, f, g)
         where t.a is not null),
       (select pgflow.wake(array_agg(distinct r.queue)) + pgflow.park(array_agg(r.task_id))
          from released r having count(*) > 0),
       (select pgflow.wake_leader(min(p.due_at)) from postponed p having count(*) > 0),
       (select pgflow.admit(array_agg(d.queue), array_agg(d.slot)) from done d
         where d.slot is not null and d.state <> 'queued' having count(*) > 0)
  from done d
