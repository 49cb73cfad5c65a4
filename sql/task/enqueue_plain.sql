-- Guarantees: like task/enqueue, for one task that is due at once and has no key, tags or slot: the same rows in fewer
-- steps, because for a single task the setting up of a statement costs more than its work. Writes and returns nothing
-- when its queue is limited: that is for task/enqueue. Whether anybody is idle is looked up here, because the call of
-- pgflow.wake costs a tenth of the whole and mostly finds nobody; within a caller's own transaction (consume = false) it
-- is called all the same, because its plans do not depend on the caller's settings.
-- Index: limit_pkey, idle_queue; the rest are inserts.
with written as (
    insert into pgflow.task (id, root_id, name, queue, priority, input, created_at, timeout, retry, actor, trace)
    select a.id, a.id, %(name)s::text, %(queue)s::text, %(priority)s::smallint, %(input)s::jsonb, pgflow.now(),
           make_interval(secs => %(timeout)s::float8), %(retry)s::jsonb, %(actor)s::text, %(trace)s::text
      from (select nextval('pgflow.task_id_seq') as id
             where not exists (select from pgflow.limit l where l.queue = %(queue)s::text) offset 0) a
    returning id
)
insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
select %(queue)s::text, %(priority)s::smallint, w.id, w.id, 1, 0 from written w
returning task_id, case when %(wake)s::boolean and (not %(consume)s::boolean or exists (
              select from pgflow.idle i where i.queue = %(queue)s::text and i.until > statement_timestamp()))
          then pgflow.wake(array[%(queue)s::text], %(consume)s::boolean) end
