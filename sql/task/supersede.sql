-- Guarantees: each of these keys is free. A holder that has not started yet ends as `skipped`, superseded by what the
-- caller enqueues next in the same transaction; one that has started goes on, without the key.
-- Index: idempotency_pkey, delayed_pkey, task_pkey.
with freed as (
    delete from pgflow.idempotency k where k.ctid = any(array(
        select h.ctid
          from (select distinct a.scope, a.key from unnest(%(scopes)s::text[], %(keys)s::text[]) a(scope, key)
                 order by a.scope, a.key) a
         cross join lateral (
               select ctid from pgflow.idempotency where scope = a.scope and key = a.key for update) h))
    returning k.task_id, k.root_id, k.key
), gone as (
    delete from pgflow.delayed d where d.ctid = any(array(
        select h.ctid from freed f cross join lateral (
               select ctid from pgflow.delayed
                where task_id = f.task_id and reason = 'scheduled' for update skip locked) h))
    returning d.task_id, d.root_id, d.attempt
), ended as (
    insert into pgflow.outcome (root_id, task_id, state, attempt, finished_at)
    select g.root_id, g.task_id, 'skipped', g.attempt, pgflow.now() from gone g
), told as (
    insert into pgflow.event (root_id, task_id, type, attempt, at, actor, data)
    select g.root_id, g.task_id, 'task.skipped', g.attempt, pgflow.now(), %(actor)s::text, '{"reason": "superseded"}'
      from gone g
)
select count(*) from gone
