-- Guarantees: like task/enqueue_plain for each of several, together with the audit's entries about them: one statement,
-- and so one transaction and one round trip, however many have asked. Writes nothing of those whose queue is limited,
-- and returns no row for them.
-- Index: limit_pkey, idle_queue; the rest are inserts.
with asked as materialized (
    select a.*, nextval('pgflow.task_id_seq') as id, c.now
      from (select pgflow.now() as now offset 0) c cross join rows from (
           unnest(%(names)s::text[]), unnest(%(queues)s::text[]), unnest(%(priorities)s::smallint[]),
           unnest(%(timeouts)s::float8[]), jsonb_array_elements(%(retries)s::jsonb),
           jsonb_array_elements(%(inputs)s::jsonb), unnest(%(actors)s::text[]), unnest(%(addresses)s::text[]),
           unnest(%(requests)s::text[]), jsonb_array_elements(%(afters)s::jsonb)) with ordinality
           as a(name, queue, priority, timeout, retry, input, actor, address, request, after, ord)
     where not exists (select from pgflow.limit l where l.queue = a.queue)
), written as (
    insert into pgflow.task (id, root_id, name, queue, priority, input, created_at, timeout, retry, actor)
    select a.id, a.id, a.name, a.queue, a.priority, a.input, a.now, make_interval(secs => a.timeout),
           nullif(a.retry, 'null'), a.actor
      from asked a order by a.ord
), told as (
    insert into pgflow.audit_entry (at, actor, address, request_id, action, target, after)
    select a.now, a.actor, a.address, a.request, %(action)s::text, 'run:' || a.id, a.after from asked a order by a.ord
), queued as (
    insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
    select a.queue, a.priority, a.id, a.id, 1, 0 from asked a order by a.ord
)
select a.ord - 1, a.id, (
           select pgflow.wake(array_agg(distinct q.queue)) from asked q
            where exists (select from pgflow.idle i where i.queue = q.queue and i.until > statement_timestamp()))
  from asked a
