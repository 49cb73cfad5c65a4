-- Guarantees: every asked-for task is written whole (task and place) or, when its key is held by another, not at all;
-- ids come back in the order asked. A key is held until it expires or, without expiry, until its task has an outcome.
-- Tasks of one kind share a spec, so that a row costs only what is its own. Those of a limited queue are throttled, and
-- admitted as far as there is room: by the leader, when this is a caller's own transaction, which may be long. No plan here reads a table but by key, so
-- it may run on a caller's own connection, whatever its settings.
-- Index: idempotency_pkey for keys, outcome_pkey for who holds one; the rest are inserts.
with asked as materialized (
    select a.ord, nextval('pgflow.task_id_seq') as id,
           (%(names)s::text[])[a.spec] as name, (%(queues)s::text[])[a.spec] as queue,
           (%(priorities)s::smallint[])[a.spec] as priority,
           make_interval(secs => (%(timeouts)s::float8[])[a.spec]) as timeout,
           nullif((%(retries)s::jsonb)->(a.spec - 1), 'null') as retry,
           (%(holds)s::float8[])[a.spec] as hold,
           a.input, nullif(a.tags, 'null') as tags, a.key, a.size, a.slot,
           coalesce(a.hash, pgflow.request_hash(a.key, a.input)) as hash,
           c.limited[a.spec] as limited,
           coalesce(a.due_at, c.now + make_interval(secs => a.delay)) as due_at, c.now
      from (select pgflow.now() as now, array(
                   select exists (select from pgflow.limit l where l.queue = q.name)
                     from unnest(%(queues)s::text[]) with ordinality q(name, ord) order by q.ord) as limited offset 0) c
     cross join rows from (
           unnest(%(specs)s::integer[]), jsonb_array_elements(%(inputs)s::jsonb),
           unnest(%(delays)s::float8[]), unnest(%(dues)s::timestamptz[]), unnest(%(keys)s::text[]),
           unnest(%(hashes)s::bytea[]), unnest(%(sizes)s::integer[]), unnest(%(slots)s::text[]),
           jsonb_array_elements(%(tags)s::jsonb)) with ordinality
           as a(spec, input, delay, due_at, key, hash, size, slot, tags, ord)
), reserved as (
    insert into pgflow.idempotency as i (scope, key, task_id, root_id, request_hash, expires_at)
    select distinct on (a.name, a.key) a.name, a.key, a.id, a.id, a.hash, a.now + make_interval(secs => a.hold)
      from asked a where a.key is not null order by a.name, a.key, a.ord
    on conflict (scope, key) do update set (task_id, root_id, request_hash, expires_at) = (
        select excluded.task_id, excluded.root_id, excluded.request_hash, excluded.expires_at
         where i.expires_at <= pgflow.now() or (i.expires_at is null and exists (
               select from pgflow.outcome o where o.root_id = i.root_id and o.task_id = i.task_id))
        union all
        select i.task_id, i.root_id, i.request_hash, i.expires_at limit 1)
    returning scope, i.key, task_id, request_hash
), accepted as materialized (
    select a.* from asked a where a.key is null or a.id in (select r.task_id from reserved r)
), written as (
    insert into pgflow.task (id, root_id, name, queue, priority, input, created_at, due_at, timeout, retry, key, tags,
                             size, slot, actor, trace)
    select a.id, a.id, a.name, a.queue, a.priority, a.input, a.now, a.due_at, a.timeout, a.retry, a.key, a.tags,
           a.size, a.slot, %(actor)s::text, %(trace)s::text
      from accepted a
), queued as (
    insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
    select a.queue, a.priority, a.id, a.id, 1, 0
      from accepted a where (a.due_at is null or a.due_at <= a.now) and not a.limited order by a.ord
), held as (
    insert into pgflow.throttled (queue, slot, priority, task_id, root_id, attempt, crashes)
    select a.queue, coalesce(a.slot, ''), a.priority, a.id, a.id, 1, 0
      from accepted a where (a.due_at is null or a.due_at <= a.now) and a.limited order by a.ord
    returning queue, slot
), come as (
    insert into pgflow.newcomer (queue, slot) select distinct h.queue, h.slot from held h returning queue
), postponed as (
    insert into pgflow.delayed (task_id, root_id, due_at, reason, attempt, crashes)
    select a.id, a.id, a.due_at, 'scheduled', 1, 0 from accepted a where a.due_at > a.now order by a.id
    returning due_at
), told as (
    insert into pgflow.event (root_id, task_id, type, at, key, data)
    select a.id, a.id, 'timer.created', a.now, '$scheduled', jsonb_build_object('due_at', a.due_at)
      from accepted a where a.due_at > a.now
)
select (select array_agg(id order by ord) from asked),
       k.scopes, k.keys, k.ids, k.hashes,
       (select array_agg(hash order by ord) from asked where key is not null),
       pgflow.wake(%(wake)s::text[], %(consume)s::boolean),
       (select pgflow.wake_leader(min(p.due_at), %(consume)s::boolean) from postponed p having count(*) > 0),
       (select case when %(consume)s::boolean then pgflow.admit(array_agg(distinct n.queue))
                    else pgflow.wake_leader(pgflow.now(), false) end from come n having count(*) > 0)
  from (select array_agg(r.scope) as scopes, array_agg(r.key) as keys, array_agg(r.task_id) as ids,
               array_agg(r.request_hash) as hashes from reserved r) k
