-- Guarantees: of these queues, as many throttled tasks are ready as their limits leave room for, slot by slot in fair
-- turns; never more, because the queue's row in `limit` is locked, and slots taken are counted after that, as the rows
-- in ready and lease that take them. `freed` names, beside each queue, a slot that one task has just left (or null).
--
-- Turns are start-time fair: a slot's next task carries the tag turn + 1 after each admission, a slot that comes back
-- starts at the queue's virtual time, and the smallest tag goes first; so a slot with 100,000 tasks waits for one with
-- three. A slot that takes as many as it may (`filled`), or whose rate is spent (`open_at`), leaves the index of
-- candidates until a task of it ends or its instant comes, so that a round reads only slots that can use it.
--
-- Called last in a statement, with all its queues at once: locks go lease -> inbox -> limit (by name) -> ready. A
-- queue without a limit lets everything go, and with it what would have the leader look again: newcomers that came
-- while the limit was lifted, and turns. One snapshot sees a newcomer and what was throttled with it.
-- Index: limit_pkey, turn_next, turn_pkey, turn_open, newcomer_queue, throttled_turn, ready_slot, lease_slot.
create or replace function pgflow.admit(queues text[], freed text[] default null) returns integer
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    most constant integer := 1000;  -- of a queue limited in other ways than its concurrency
    batch constant integer := 5000;  -- of a queue that is limited no more
    name text;
    policy pgflow.limit;
    instant constant timestamptz := pgflow.now();
    used bigint;
    room bigint;
    tokens bigint;
    candidates bigint;
    share bigint;
    moved bigint;
    latest float8;
    granted bigint;
    total bigint := 0;
    awake text[] := '{}';
begin
    if queues is null then
        return 0;
    end if;
    for name in select distinct q from unnest(queues) q order by q loop
        select * into policy from pgflow.limit l where l.queue = name for update;
        if not found then
            with gone as (
                delete from pgflow.throttled t where t.ctid = any(array(
                    select ctid from pgflow.throttled where queue = name
                     order by queue, slot, priority, seq limit batch for update skip locked))
                returning t.*
            ), queued as (
                insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
                select g.queue, g.priority, g.task_id, g.root_id, g.attempt, g.crashes from gone g order by g.seq
            ), come as (
                delete from pgflow.newcomer n where n.ctid = any(array(
                    select ctid from pgflow.newcomer where queue = name and (select count(*) from gone) < batch
                       for update skip locked))
            ), forgotten as (
                delete from pgflow.turn t where t.ctid = any(array(
                    select ctid from pgflow.turn where queue = name for update skip locked))
            )
            select count(*) into granted from gone;
        else
            with come as (
                delete from pgflow.newcomer n where n.queue = name returning n.slot
            )
            insert into pgflow.turn as t (queue, slot, turn, waiting)
            select distinct name, c.slot, policy.turn, true from come c order by c.slot
            on conflict (queue, slot) do update
                set waiting = true, turn = greatest(t.turn, excluded.turn) where not t.waiting;
            update pgflow.turn set filled = false where ctid = any(array(
                select t.ctid from (
                    select distinct f.slot from unnest(queues, freed) f(queue, slot)
                     where f.queue = name and f.slot is not null) f
                 cross join lateral (
                    select ctid from pgflow.turn where queue = name and slot = f.slot and filled) t));
            update pgflow.turn set open_at = null where ctid = any(array(
                select ctid from pgflow.turn where open_at <= instant and queue = name));

            select (select count(*) from pgflow.ready r where r.queue = name and r.slot is not null)
                 + (select count(*) from pgflow.lease l where l.queue = name and l.slot is not null) into used;
            room := coalesce(policy.concurrency, most) - used;
            tokens := null;
            if policy.rate is not null then
                policy.arrives_at := greatest(coalesce(policy.arrives_at, instant), instant);
                tokens := greatest(0, floor(policy.burst
                    - extract(epoch from policy.arrives_at - instant)::float8 * policy.rate + 1e-6));
                room := least(room, tokens);
            end if;
            granted := 0;
            loop
                exit when room <= 0;
                select count(*) into candidates from (
                    select from pgflow.turn where queue = name and waiting and not filled and open_at is null
                     limit room) c;
                exit when candidates = 0;
                share := greatest(1, room / candidates);
                select r.moved, r.latest into moved, latest
                  from pgflow.admit_round(name, policy, room, share, instant) r;
                granted := granted + moved;
                room := room - moved;
                policy.turn := greatest(policy.turn, latest);
            end loop;
            update pgflow.limit
               set turn = policy.turn,
                   arrives_at = case when policy.rate is not null
                       then policy.arrives_at + granted / policy.rate * interval '1 s' end,
                   open_at = case when tokens <= granted and exists (
                           select from pgflow.turn where queue = name and waiting and not filled and open_at is null)
                       then policy.arrives_at + (granted + 1 - policy.burst) / policy.rate * interval '1 s' end
             where queue = name;
        end if;
        total := total + granted;
        if granted > 0 then
            awake := awake || name;
        end if;
    end loop;
    if cardinality(awake) > 0 then
        perform pgflow.wake(awake);
    end if;
    return total;
end
$$;
