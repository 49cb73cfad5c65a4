-- Guarantees: of these events, each that an enabled subscription asks for becomes a task which delivers it, in this very
-- transaction: no event is without its deliveries, and none is delivered that never was. Never those of the engine's own
-- tasks, or a delivery would be followed by deliveries about it; but those of a graph's nodes. Called by pgflow.tell for
-- events as they are inserted.
--
-- It may be part of a transaction that takes long and holds locks: it locks nothing, holds on to no idle worker's row,
-- and leaves limited queues to the leader. Of an event's data goes along what is meant for others: never a step's result,
-- a signal's payload or a traceback. A delivery is found by its key, delivery/subscription/event, in the order of events.
-- Index: subscription_enabled, task_pkey, limit_pkey.
create or replace function pgflow.deliver(fresh pgflow.event[]) returns integer
language plpgsql
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    -- In two pieces, because the schema's name is put in for the first, and these are the same in every schema.
    task constant text := 'pgflow' || '.deliver';
    home constant text := 'pgflow' || '.deliveries';
    instant constant timestamptz := pgflow.now();
    written bigint;
    held bigint;
begin
    with chosen as materialized (
        select nextval('pgflow.task_id_seq') as id, s.slot, 'delivery/' || s.id || '/' || lpad(f.id::text, 19, '0') as key,
               jsonb_build_object('subscription', s.name) as tags,
               jsonb_build_object('subscription', s.id, 'event', jsonb_strip_nulls(jsonb_build_object(
                   'id', f.id, 'type', f.type, 'at', f.at, 'run_id', f.root_id, 'task_id', f.task_id, 'name', t.name,
                   'step', t.step, 'key', f.key, 'attempt', f.attempt, 'actor', f.actor,
                   'state', f.data->'state', 'reason', f.data->'reason', 'due_at', f.data->'due_at',
                   'approval', case when f.type in ('approval.requested', 'approval.escalated')
                                    then f.data->'approval' end,
                   'error', case when f.type = 'workflow.parked'
                                 then jsonb_build_object('type', f.data->'type', 'message', f.data->'message')
                                 else (f.data->'error') - 'traceback' - 'kinds' end))) as input
          from unnest(fresh) f
          join pgflow.subscription s on s.disabled_at is null and f.type = any(s.kinds)
           and (not s.runs_only or f.task_id = f.root_id)
         cross join lateral (
               select t.name, t.step from pgflow.task t where t.root_id = f.root_id and t.id = f.task_id offset 0) t
         where (not starts_with(t.name, 'pgflow' || '.') or starts_with(t.name, 'pgflow' || '.node.'))
           and (s.names is null or exists (select from unnest(s.names) p(pattern)
                                            where t.name like replace(replace(p.pattern, '_', '\_'), '*', '%')))
         order by f.id, s.id
    ), limited as materialized (
        select exists (select from pgflow.limit l where l.queue = home) as yes
    ), asked as (
        insert into pgflow.task (id, root_id, name, queue, priority, input, size, created_at, timeout, key, slot, tags)
        select c.id, c.id, task, home, 2, c.input,
               case when pg_column_size(c.input) > 2048 and octet_length(c.input::text) > 16384
                    then octet_length(c.input::text) end,
               instant, interval '60 s', c.key, c.slot, c.tags
          from chosen c
    ), queued as (
        insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
        select home, 2, c.id, c.id, 1, 0 from chosen c where not (select yes from limited) order by c.id
    ), kept as (
        insert into pgflow.throttled (queue, slot, priority, task_id, root_id, attempt, crashes)
        select home, c.slot, 2, c.id, c.id, 1, 0 from chosen c where (select yes from limited) order by c.id
        returning throttled.slot
    ), come as (
        insert into pgflow.newcomer (queue, slot) select distinct home, k.slot from kept k
        returning 1
    )
    select (select count(*) from chosen), (select count(*) from come) into written, held;
    if held > 0 then
        perform pgflow.wake_leader(instant, false);
    elsif written > 0 then
        perform pgflow.wake(array[home], false);
    end if;
    return written;
end
$$;
