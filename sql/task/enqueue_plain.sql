-- Guarantees: like task/enqueue, for tasks that are due at once and have no key, tags or slot: the same rows in fewer
-- steps, because for a single task the setting up of a statement costs more than its work. Writes nothing, and returns
-- null, when one of the queues is limited: that is for task/enqueue.
-- Index: limit_pkey; the rest are inserts.
with asked as materialized (
    select a.ord, nextval('pgflow.task_id_seq') as id, a.spec, a.input, c.now
      from (select pgflow.now() as now offset 0) c
     cross join rows from (unnest(%(specs)s::integer[]), jsonb_array_elements(%(inputs)s::jsonb))
           with ordinality as a(spec, input, ord)
     where not exists (select from pgflow.limit l where l.queue = any(%(queues)s::text[]))
), written as (
    insert into pgflow.task (id, root_id, name, queue, priority, input, created_at, timeout, retry, actor, trace)
    select a.id, a.id, (%(names)s::text[])[a.spec], (%(queues)s::text[])[a.spec], (%(priorities)s::smallint[])[a.spec],
           a.input, a.now, make_interval(secs => (%(timeouts)s::float8[])[a.spec]),
           nullif((%(retries)s::jsonb)->(a.spec - 1), 'null'), %(actor)s::text, %(trace)s::text
      from asked a
), queued as (
    insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
    select (%(queues)s::text[])[a.spec], (%(priorities)s::smallint[])[a.spec], a.id, a.id, 1, 0 from asked a order by a.ord
)
select array_agg(a.id order by a.ord), pgflow.wake(%(wake)s::text[], %(consume)s::boolean) from asked a
