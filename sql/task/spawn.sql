-- Guarantees: each child is written whole (task and place) or, when its parent already has one under that step, not at
-- all; and only under a lease of the parent that this worker holds in that epoch. A row with the child's id comes back
-- for each whose parent's lease is held. Children of a paused run are parked; those of a limited queue are throttled,
-- and admitted by the leader: a limit's lock taken here would come before inbox locks of the same transaction.
-- Index: lease_pkey, task_step, limit_pkey, paused_run_pkey; the rest are inserts.
with asked as materialized (
    select a.*, (%(names)s::text[])[a.spec] as name, (%(queues)s::text[])[a.spec] as queue,
           (%(priorities)s::smallint[])[a.spec] as priority,
           make_interval(secs => (%(timeouts)s::float8[])[a.spec]) as timeout,
           nullif((%(retries)s::jsonb)->(a.spec - 1), 'null') as retry
      from rows from (
           unnest(%(parents)s::bigint[]), unnest(%(epochs)s::bigint[]), unnest(%(steps)s::text[]),
           unnest(%(specs)s::integer[]), jsonb_array_elements(%(inputs)s::jsonb), unnest(%(delays)s::float8[]),
           unnest(%(dues)s::timestamptz[]), unnest(%(sizes)s::integer[]), unnest(%(slots)s::text[]),
           unnest(%(traces)s::text[]), jsonb_array_elements(%(tags)s::jsonb)) with ordinality
           as a(parent_id, epoch, step, spec, input, delay, due_at, size, slot, trace, tags, ord)
), held as materialized (
    select p.parent_id, l.root_id, c.now,
           exists (select from pgflow.paused_run r where r.root_id = l.root_id) as paused
      from (select pgflow.now() as now offset 0) c
     cross join (select distinct a.parent_id, a.epoch from asked a order by 1, 2) p cross join lateral (
           select l.root_id from pgflow.lease l
            where l.task_id = p.parent_id and l.epoch = p.epoch and l.worker_id = %(worker)s::bigint
              for key share) l
), written as (
    insert into pgflow.task as t (root_id, parent_id, step, name, queue, priority, input, created_at, due_at, timeout,
                                  retry, size, slot, tags, trace)
    select h.root_id, h.parent_id, a.step, a.name, a.queue, a.priority, a.input, h.now,
           coalesce(a.due_at, h.now + make_interval(secs => a.delay)), a.timeout, a.retry, a.size, a.slot,
           nullif(a.tags, 'null'), a.trace
      from asked a join held h on h.parent_id = a.parent_id order by a.ord
    on conflict (root_id, parent_id, step) where parent_id is not null do nothing
    returning t.id, t.root_id, t.parent_id, t.step, t.queue, t.priority, t.slot, t.created_at, t.due_at
), placed as materialized (
    select w.*, coalesce(w.due_at > w.created_at, false) as later, h.paused,
           exists (select from pgflow.limit l where l.queue = w.queue) as limited
      from written w join held h on h.parent_id = w.parent_id
), postponed as (
    insert into pgflow.delayed (task_id, root_id, due_at, reason, attempt, crashes)
    select p.id, p.root_id, p.due_at, 'scheduled', 1, 0 from placed p where p.later order by p.id
    returning delayed.due_at
), parked as (
    insert into pgflow.parked (task_id, root_id, reason, since, attempt, crashes)
    select p.id, p.root_id, 'paused', p.created_at, 1, 0 from placed p where p.paused and not p.later
), held_back as (
    insert into pgflow.throttled (queue, slot, priority, task_id, root_id, attempt, crashes)
    select p.queue, coalesce(p.slot, ''), p.priority, p.id, p.root_id, 1, 0
      from placed p where p.limited and not p.later and not p.paused order by p.id
    returning throttled.queue, throttled.slot
), come as (
    insert into pgflow.newcomer (queue, slot) select distinct h.queue, h.slot from held_back h returning 1
), queued as (
    insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
    select p.queue, p.priority, p.id, p.root_id, 1, 0
      from placed p where not (p.limited or p.later or p.paused) order by p.id
    returning ready.queue
)
select a.parent_id, a.step, coalesce(w.id, (
           select t.id from pgflow.task t
            where t.root_id = h.root_id and t.parent_id = a.parent_id and t.step = a.step)),
       (select pgflow.wake(array_agg(distinct q.queue)) from queued q having count(*) > 0),
       (select pgflow.wake_leader(min(p.due_at)) from postponed p having count(*) > 0),
       (select pgflow.wake_leader(pgflow.now()) from come having count(*) > 0)
  from asked a join held h on h.parent_id = a.parent_id
  left join written w on w.parent_id = a.parent_id and w.step = a.step
