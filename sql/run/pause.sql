-- Guarantees: those of these runs that have something unfinished are paused, from when this commits on: what becomes
-- ready in them is parked. What is ready now is for run/park. Returns those that were not paused before.
-- Index: task_pkey, outcome_pkey, paused_run_pkey.
with paused as (
    insert into pgflow.paused_run (root_id, since, actor)
    select a.root_id, pgflow.now(), %(actor)s::text
      from (select distinct unnest(%(runs)s::bigint[]) as root_id order by 1) a
     where exists (
           select from pgflow.task t
            where t.root_id = a.root_id
              and not exists (select from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id))
    on conflict (root_id) do nothing
    returning root_id, since
), told as (
    insert into pgflow.event (root_id, task_id, type, at, actor)
    select p.root_id, p.root_id, 'task.paused', p.since, %(actor)s::text from paused p
)
select p.root_id from paused p order by p.root_id
