-- Guarantees: those of these tasks that are ready though their run is paused are parked. For whoever puts a task back
-- to ready by itself, not through make_ready.
-- Index: ready_pkey, paused_run_pkey.
create or replace function pgflow.park(tasks bigint[]) returns integer
language plpgsql
set enable_seqscan = off
as $$
declare
    moved integer;
begin
    if tasks is null or not exists (select from pgflow.paused_run) then
        return 0;
    end if;
    with taken as (
        delete from pgflow.ready r where r.ctid = any(array(
            select c.ctid from unnest(tasks) as a(task_id) cross join lateral (
                   select ctid, root_id from pgflow.ready where task_id = a.task_id for update skip locked) c
             where exists (select from pgflow.paused_run p where p.root_id = c.root_id)))
        returning r.task_id, r.root_id, r.attempt, r.crashes
    ), parked as (
        insert into pgflow.parked (task_id, root_id, reason, since, attempt, crashes)
        select t.task_id, t.root_id, 'paused', pgflow.now(), t.attempt, t.crashes from taken t
        returning 1
    )
    select count(*) into moved from parked;
    return moved;
end
$$;
