-- Guarantees: a fact (a step's result, when a timer is due, that a workflow has begun) is recorded at most once a task,
-- key and type, and only under a lease this worker holds in that epoch (held with FOR KEY SHARE, so that the reaper
-- waits or has won). A row with fresh = true was recorded now; with fresh = false it was there already, and its data,
-- not the caller's, is what counts; no row: the lease is lost. Of one task they are recorded in the order asked.
-- Index: lease_pkey; event_step.
with asked as materialized (
    select distinct on (a.task_id, a.key, a.type) a.*
      from rows from (
           unnest(%(tasks)s::bigint[]), unnest(%(epochs)s::bigint[]), unnest(%(types)s::pgflow.event_type[]),
           unnest(%(keys)s::text[]), unnest(%(attempts)s::smallint[]), jsonb_array_elements(%(data)s::jsonb))
           with ordinality as a(task_id, epoch, type, key, attempt, data, ord)
     order by a.task_id, a.key, a.type, a.epoch desc
), held as materialized (
    select a.task_id, a.type, a.key, a.attempt, a.data, a.ord, l.root_id
      from (select * from asked order by task_id) a cross join lateral (
           select l.root_id from pgflow.lease l
            where l.task_id = a.task_id and l.epoch = a.epoch and l.worker_id = %(worker)s::bigint
              for key share) l
)
insert into pgflow.event as e (root_id, task_id, type, attempt, at, worker_id, key, data)
select h.root_id, h.task_id, h.type, h.attempt, c.now, %(worker)s::bigint, h.key, h.data
  from (select pgflow.now() as now offset 0) c cross join held h order by h.task_id, h.ord
on conflict (root_id, task_id, key, type)
      where type in ('step.completed', 'timer.created', 'workflow.started', 'workflow.continued', 'node.started',
                     'node.completed', 'node.failed', 'node.skipped')
   do update set key = e.key
returning e.task_id, e.type::text, e.key, e.xid = txid_current() as fresh, e.data
