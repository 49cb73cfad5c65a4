-- Guarantees: like task/enqueue_plain, together with the audit's entry about it: one statement, and so one transaction
-- and one round trip. Writes and returns nothing when the queue is limited.
-- Index: limit_pkey, idle_queue; the rest are inserts.
with written as (
    insert into pgflow.task (id, root_id, name, queue, priority, input, created_at, timeout, retry, actor, trace)
    select a.id, a.id, %(name)s::text, %(queue)s::text, %(priority)s::smallint, %(input)s::jsonb, pgflow.now(),
           make_interval(secs => %(timeout)s::float8), %(retry)s::jsonb, %(actor)s::text, %(trace)s::text
      from (select nextval('pgflow.task_id_seq') as id
             where not exists (select from pgflow.limit l where l.queue = %(queue)s::text) offset 0) a
    returning id
), told as (
    insert into pgflow.audit_entry (at, actor, address, request_id, action, target, after)
    select pgflow.now(), %(actor)s::text, %(address)s::text, %(request)s::text, %(action)s::text, 'run:' || w.id,
           %(after)s::jsonb
      from written w
)
insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
select %(queue)s::text, %(priority)s::smallint, w.id, w.id, 1, 0 from written w
returning task_id, case when %(wake)s::boolean and (not %(consume)s::boolean or exists (
              select from pgflow.idle i where i.queue = %(queue)s::text and i.until > statement_timestamp()))
          then pgflow.wake(array[%(queue)s::text], %(consume)s::boolean) end
