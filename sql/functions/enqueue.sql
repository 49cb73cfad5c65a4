-- Guarantees: the door for SQL to what task/enqueue does: every task asked for is written whole (task and place) or,
-- when its key is held by another, not at all; ids come back in the order asked. It all happens or nothing: a document
-- that makes no sense, or a key that was used with another input, is an exception. `asked` is an array of documents with
-- the fields that are named below (docs/sql.md tells of each).
-- With consume = false it may be part of a transaction that takes long: it holds on to no idle worker's row, and leaves
-- limited queues to the leader. No plan here reads a table but by key, whatever the caller's settings.
-- Index: idempotency_pkey for keys, outcome_pkey for who holds one, limit_pkey; the rest are inserts.
create or replace function pgflow.enqueue(asked jsonb, actor text default null, consume boolean default false)
returns bigint[]
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    bulky constant integer := 16384;  -- bytes; as in pgflow/engine/enqueue.py
    ids bigint[];
    queues text[];
    limited text[];
    soonest timestamptz;
    clash_name text;
    clash_key text;
    clash_id bigint;
begin
    if jsonb_typeof(enqueue.asked) = 'array' and jsonb_array_length(enqueue.asked) = 1 then
        ids := array[pgflow.enqueue_plain(enqueue.asked->0, actor, consume)];
        if ids[1] is not null then
            return ids;
        end if;
    end if;
    perform pgflow.check_asked(enqueue.asked);
    with asked as materialized (
        select a.*, exists (select from pgflow.limit l where l.queue = a.queue) as limited,
               case when a.compared then pgflow.request_hash(a.key, a.input) else '' end as hash,
               case when pg_column_size(a.input) > bulky / 8
                    then nullif(greatest(octet_length(a.input::text), bulky), bulky) end as size
          from (
            select a.ord, coalesce(a.id, nextval('pgflow.task_id_seq')) as id, a.name,
                   coalesce(a.queue, 'default') as queue, coalesce(a.priority, 2::smallint) as priority,
                   coalesce(a.input, '{}') as input, make_interval(secs => a.timeout) as timeout, a.retry, a.tags,
                   a.key, a.hold, coalesce(a.hash, true) as compared, a.slot, a.trace,
                   coalesce(a.due_at, c.now + make_interval(secs => a.delay)) as due_at, c.now
              from (select pgflow.now() as now offset 0) c
             cross join rows from (jsonb_to_recordset(enqueue.asked) as (
                   name text, queue text, priority smallint, timeout float8, retry jsonb, slot text, tags jsonb,
                   input jsonb, key text, hold float8, delay float8, due_at timestamptz, id bigint, trace text,
                   hash boolean)) with ordinality as a(name, queue, priority, timeout, retry, slot, tags,
                   input, key, hold, delay, due_at, id, trace, hash, ord)
            offset 0) a
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
        returning i.scope, i.key, i.task_id, i.request_hash
    ), accepted as materialized (
        select a.* from asked a where a.key is null or a.id in (select r.task_id from reserved r)
    ), written as (
        insert into pgflow.task (id, root_id, name, queue, priority, input, created_at, due_at, timeout, retry, key,
                                 tags, size, slot, actor, trace)
        select a.id, a.id, a.name, a.queue, a.priority, a.input, a.now, a.due_at, a.timeout, a.retry, a.key,
               a.tags, a.size, a.slot, enqueue.actor, a.trace
          from accepted a
    ), queued as (
        insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
        select a.queue, a.priority, a.id, a.id, 1, 0
          from accepted a where (a.due_at is null or a.due_at <= a.now) and not a.limited order by a.ord
        returning queue
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
    ), answered as materialized (
        select a.ord, a.key, a.name, coalesce(r.task_id, a.id) as id,
               a.hash <> r.request_hash and '' not in (a.hash, r.request_hash) as clashes
          from asked a left join reserved r on r.scope = a.name and r.key = a.key
    )
    select (select array_agg(w.id order by w.ord) from answered w),
           (select array_agg(distinct q.queue) from queued q), (select array_agg(distinct n.queue) from come n),
           (select min(p.due_at) from postponed p), c.name, c.key, c.id
      into ids, queues, limited, soonest, clash_name, clash_key, clash_id
      from (values (true)) one(row)
      left join lateral (select w.name, w.key, w.id from answered w where w.clashes order by w.ord limit 1) c on true;
    if clash_id is not null then
        raise exception 'key "%" of "%" was already used with another input, by task %', clash_key, clash_name, clash_id
            using errcode = 'unique_violation', table = 'idempotency', constraint = 'idempotency_pkey',
                  detail = format('The first task is %s.', clash_id),
                  hint = 'use a new key for a new request, or send the same input to get the first task back';
    end if;
    perform pgflow.wake(queues, consume);
    perform pgflow.wake_leader(soonest, consume);
    if limited is not null and consume then
        perform pgflow.admit(limited);
    elsif limited is not null then
        perform pgflow.wake_leader(pgflow.now(), false);
    end if;
    return coalesce(ids, '{}');
end
$$;
