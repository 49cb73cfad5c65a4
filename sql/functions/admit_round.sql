-- Guarantees: of a limited queue, whose row in `limit` the caller has locked, up to `wanted` slots in turn order get up
-- to `share` tasks each into ready, as far as their own concurrency and rate allow; each slot's turn moves on, and one
-- that has nothing left, is filled or must wait for its rate leaves the candidates. Rows of throttled that a cancel
-- just holds are skipped. Says how many tasks moved and the last turn given.
-- Index: turn_next, throttled_turn, ready_slot, lease_slot.
create or replace function pgflow.admit_round(
    name text, policy pgflow.limit, wanted bigint, share bigint, instant timestamptz,
    out moved bigint, out latest float8)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
    with chosen as materialized (
        select t.tid, t.slot, greatest(t.turn, policy.turn) as turn,
               greatest(coalesce(t.arrives_at, instant), instant) as arrives_at, u.taken,
               least(share, policy.slot_concurrency - u.taken, g.tokens) as room, g.tokens
          from (select ctid as tid, slot, turn, arrives_at from pgflow.turn
                 where queue = name and waiting and not filled and open_at is null
                 order by queue, turn limit wanted) t
         cross join lateral (
               select case when policy.slot_concurrency is not null then
                      (select count(*) from pgflow.ready r where r.queue = name and r.slot = t.slot)
                    + (select count(*) from pgflow.lease l where l.queue = name and l.slot = t.slot)
                      end as taken offset 0) u
         cross join lateral (
               select case when policy.slot_rate is not null then greatest(0, floor(policy.slot_burst
                      - extract(epoch from greatest(coalesce(t.arrives_at, instant), instant) - instant)::float8
                        * policy.slot_rate + 1e-6))::bigint end as tokens offset 0) g
    ), picked as materialized (
        -- Carries all that is known of its slot, so that nothing need be joined to it: a join of two such
        -- lists would be planned for one row each.
        select c.tid as turn_tid, c.turn, c.taken, c.arrives_at, c.tokens, c.room, p.tid,
               row_number() over (partition by c.tid order by p.priority, p.seq) as n
          from chosen c left join lateral (
               select ctid as tid, priority, seq from pgflow.throttled
                where queue = name and slot = c.slot
                order by queue, slot, priority, seq limit greatest(c.room, 0) + 1
                  for update skip locked) p on true
    ), gone as (
        delete from pgflow.throttled t using picked p where t.ctid = p.tid and p.n <= p.room
        returning t.task_id, t.root_id, t.priority, t.attempt, t.crashes, t.slot, p.turn + p.n - 1 as tag
    ), queued as (
        insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes, slot)
        select name, g.priority, g.task_id, g.root_id, g.attempt, g.crashes, g.slot
          from gone g order by g.tag, g.task_id
    ), noted as (
        update pgflow.turn t
           set turn = s.turn + s.count,
               waiting = s.more,
               filled = s.more and coalesce(s.taken + s.count >= policy.slot_concurrency, false),
               arrives_at = case when policy.slot_rate is not null
                   then s.arrives_at + s.count / policy.slot_rate * interval '1 s' end,
               open_at = case when s.more and s.tokens <= s.count
                   then s.arrives_at + (s.count + 1 - policy.slot_burst) / policy.slot_rate * interval '1 s' end
          from (select p.turn_tid, p.turn, p.taken, p.arrives_at, p.tokens,
                       count(p.tid) filter (where p.n <= p.room) as count,
                       count(p.tid) > greatest(p.room, 0) as more
                  from picked p
                 group by p.turn_tid, p.turn, p.taken, p.arrives_at, p.tokens, p.room) s
         where t.ctid = s.turn_tid
    )
    select count(*), max(g.tag) into moved, latest from gone g;
end
$$;
