-- Guarantees: each failed try of a step is written once, and only under a lease this worker holds in that epoch; a row
-- comes back for each whose lease is held.
-- Index: lease_pkey; event_try.
with asked as materialized (
    select a.*
      from rows from (
           unnest(%(tasks)s::bigint[]), unnest(%(epochs)s::bigint[]), unnest(%(types)s::pgflow.event_type[]),
           unnest(%(keys)s::text[]), unnest(%(attempts)s::smallint[]), unnest(%(delays)s::float8[]),
           jsonb_array_elements(%(errors)s::jsonb)) as a(task_id, epoch, type, key, attempt, delay, error)
), held as materialized (
    select a.task_id, a.type, a.key, a.attempt, a.delay, a.error, l.root_id
      from (select * from asked order by task_id, key) a cross join lateral (
           select l.root_id from pgflow.lease l
            where l.task_id = a.task_id and l.epoch = a.epoch and l.worker_id = %(worker)s::bigint
              for key share) l
), told as (
    insert into pgflow.event (root_id, task_id, type, attempt, at, worker_id, key, data)
    select h.root_id, h.task_id, h.type, h.attempt, c.now, %(worker)s::bigint, h.key,
           jsonb_strip_nulls(jsonb_build_object('due_at', c.now + make_interval(secs => h.delay))) || jsonb_build_object('error', h.error)
      from (select pgflow.now() as now offset 0) c cross join held h order by h.task_id, h.key
    on conflict (root_id, task_id, key, attempt) where type in ('step.retried', 'step.failed') do nothing
)
select h.task_id, h.type::text, h.key from held h
