-- Guarantees: failed and cancelled tasks among these become ready again, with a full allowance of attempts and no
-- crashes; but not a workflow that has undone what it did, whose recorded steps are true no more, and neither the run of
-- a graph nor what does a node of one: what became of a node is told once. The outcome is taken back and task.redriven
-- says by whom. Others are left alone. Returns those revived. Runs as the schema's owner: no other role may delete an
-- outcome.
-- Index: outcome_pkey, event_step, task_pkey, inbox_pkey.
create or replace function pgflow.reopen(roots bigint[], tasks bigint[], by_actor text) returns setof bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
begin
    perform set_config('pgflow.reopen', 'on', true);
    return query
    with reopened as (
        delete from pgflow.outcome o using (
            select r.root_id, r.task_id from unnest(roots, tasks) as r(root_id, task_id) order by r.task_id) r
         where o.root_id = r.root_id and o.task_id = r.task_id and o.state in ('failed', 'cancelled')
           and not exists (select from pgflow.event e where e.root_id = r.root_id and e.task_id = r.task_id
                              and e.type = 'step.completed' and e.key like '%$compensate:%')
           and not exists (select from pgflow.event e where e.root_id = r.root_id and e.task_id = r.task_id
                              and e.type = 'step.completed' and e.key = '$definition')
           and not exists (select from pgflow.event e where e.root_id = r.root_id and e.task_id = o.parent_id
                              and e.type = 'step.completed' and e.key = '$definition')
        returning o.root_id, o.task_id, o.state
    ), forgotten as (
        -- Its counter starts over: one left behind might be cleared away just when the task has read it.
        delete from pgflow.inbox i where i.ctid = any(array(
            select c.ctid from reopened o cross join lateral (
                   select ctid from pgflow.inbox where task_id = o.task_id for update) c))
    ), told as (
        insert into pgflow.event (root_id, task_id, type, at, actor, data)
        select o.root_id, o.task_id, 'task.redriven', pgflow.now(), by_actor, jsonb_build_object('was', o.state)
          from reopened o
    )
    select o.task_id from reopened o
     where (select pgflow.make_ready(array_agg(o.task_id order by o.task_id), array_agg(o.root_id order by o.task_id),
                                     array_agg(1::smallint), array_agg(0::smallint)) from reopened o) > 0;
    perform set_config('pgflow.reopen', 'off', true);
end
$$;
