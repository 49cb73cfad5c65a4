-- Guarantees: every arrival and every suspension of a batch reaches its inbox row in one upsert, in task order, and
-- whoever makes `arrived` cross `needed`, in whichever order the two come, moves the task to ready: once. Nothing is
-- cleared on waking: the crossing is the wake-up.
-- An element is an arrival when needs[i] is null (counts[i] of them), else a suspension until needs[i] have arrived in
-- all. Called from inside the statement that deleted the leases, so that locks go lease -> inbox -> ready.
-- Index: inbox_pkey.
create or replace function pgflow.arrive(
    tasks bigint[], roots bigint[], counts integer[], needs integer[], wakes timestamptz[],
    attempts smallint[], crash_counts smallint[]) returns integer
language plpgsql
set enable_seqscan = off
as $$
declare
    next_wake timestamptz;
    woken integer;
begin
    if tasks is null then
        return 0;
    end if;
    with batch as materialized (
        select b.task_id, max(b.root_id) as root_id, sum(b.count)::int as count, max(b.needed) as needed,
               max(b.wake_at) as wake_at, max(b.attempt) as attempt, max(b.crashes) as crashes
          from unnest(tasks, roots, counts, needs, wakes, attempts, crash_counts)
               as b(task_id, root_id, count, needed, wake_at, attempt, crashes)
         group by b.task_id
    ), touched as (
        insert into pgflow.inbox as i
               (task_id, root_id, arrived, needed, wake_at, attempt, crashes, added, suspended)
        select b.task_id, b.root_id, b.count, b.needed, case when b.count < b.needed then b.wake_at end,
               b.attempt, b.crashes, b.count, b.needed is not null
          from batch b order by b.task_id
        on conflict (task_id) do update set
            arrived = i.arrived + excluded.arrived,
            needed = coalesce(excluded.needed, i.needed),
            root_id = coalesce(excluded.root_id, i.root_id),
            attempt = coalesce(excluded.attempt, i.attempt),
            crashes = coalesce(excluded.crashes, i.crashes),
            added = excluded.added,
            suspended = excluded.suspended,
            wake_at = case
                when i.arrived + excluded.arrived >= coalesce(excluded.needed, i.needed) then null
                when excluded.needed is not null then excluded.wake_at
                else i.wake_at end
        returning i.*
    ), crossed as materialized (
        select t.task_id, t.root_id, t.attempt, t.crashes from touched t
         where t.arrived >= t.needed and (t.suspended or t.arrived - t.added < t.needed)
    )
    select (select min(t.wake_at) from touched t),
           pgflow.make_ready(array_agg(c.task_id order by c.task_id), array_agg(c.root_id order by c.task_id),
                             array_agg(c.attempt order by c.task_id), array_agg(c.crashes order by c.task_id))
      into next_wake, woken from crossed c;
    perform pgflow.wake_leader(next_wake);
    return woken;
end
$$;
