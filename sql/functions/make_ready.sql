-- Guarantees: each of these tasks, which the caller has just taken out of another place, is ready; or parked when its
-- run is paused, or throttled when its queue is limited. Idle workers are woken for the ready ones, the leader for the
-- throttled.
-- Index: task_pkey, limit_pkey, paused_run_pkey.
create or replace function pgflow.make_ready(
    tasks bigint[], roots bigint[], attempts smallint[], crash_counts smallint[]) returns integer
language plpgsql
set enable_seqscan = off
as $$
declare
    queues text[];
    held bigint;
begin
    if tasks is null then
        return 0;
    end if;
    with known as materialized (
        select g.task_id, g.root_id, g.attempt, g.crashes, g.ord, t.queue, t.priority, coalesce(t.slot, '') as slot,
               exists (select from pgflow.limit l where l.queue = t.queue) as limited,
               exists (select from pgflow.paused_run p where p.root_id = g.root_id) as paused
          from unnest(tasks, roots, attempts, crash_counts) with ordinality as g(task_id, root_id, attempt, crashes, ord)
         cross join lateral (
               select queue, priority, slot from pgflow.task where root_id = g.root_id and id = g.task_id offset 0) t
    ), queued as (
        insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
        select k.queue, k.priority, k.task_id, k.root_id, k.attempt, k.crashes
          from known k where not (k.limited or k.paused) order by k.ord
        returning ready.queue
    ), kept as (
        insert into pgflow.throttled (queue, slot, priority, task_id, root_id, attempt, crashes)
        select k.queue, k.slot, k.priority, k.task_id, k.root_id, k.attempt, k.crashes
          from known k where k.limited and not k.paused order by k.ord
    ), come as (
        insert into pgflow.newcomer (queue, slot) select distinct k.queue, k.slot from known k where k.limited and not k.paused
        returning 1
    ), stopped as (
        insert into pgflow.parked (task_id, root_id, reason, since, attempt, crashes)
        select k.task_id, k.root_id, 'paused', pgflow.now(), k.attempt, k.crashes from known k where k.paused
    )
    select (select array_agg(distinct q.queue) from queued q), (select count(*) from come) into queues, held;
    perform pgflow.wake(queues);
    if held > 0 then
        perform pgflow.wake_leader(pgflow.now());
    end if;
    return cardinality(tasks);
end
$$;
