-- Guarantees: these runs are not paused any more, and their history says by whom. What is parked in them is for
-- run/unpark. Returns those that were paused.
-- Index: paused_run_pkey.
with resumed as (
    delete from pgflow.paused_run p where p.root_id = any(%(runs)s::bigint[]) returning p.root_id
), told as (
    insert into pgflow.event (root_id, task_id, type, at, actor, data)
    select r.root_id, r.root_id, 'task.resumed', pgflow.now(), %(actor)s::text, '{"was": "paused"}' from resumed r
)
select r.root_id from resumed r order by r.root_id
