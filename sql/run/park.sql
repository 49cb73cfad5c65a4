-- Guarantees: of the next `limit` tasks of a paused run after `after`, those that are ready or throttled are parked, but
-- for those that somebody is just claiming or moving. A limited task that was ready gives its slot back. Returns the
-- last id looked at, null at the end, and how many were parked.
-- Index: task_pkey, ready_pkey, throttled_pkey, paused_run_pkey.
with page as materialized (
    select t.id from pgflow.task t
     where t.root_id = %(run)s::bigint and t.id > %(after)s::bigint
       and exists (select from pgflow.paused_run p where p.root_id = %(run)s::bigint)
     order by t.id limit %(limit)s::integer
), unqueued as (
    delete from pgflow.ready r where r.ctid = any(array(
        select c.ctid from page p cross join lateral (
               select ctid from pgflow.ready where task_id = p.id for update skip locked) c))
    returning r.task_id, r.root_id, r.attempt, r.crashes, r.queue, r.slot
), unthrottled as (
    delete from pgflow.throttled r where r.ctid = any(array(
        select c.ctid from page p cross join lateral (
               select ctid from pgflow.throttled where task_id = p.id for update skip locked) c))
    returning r.task_id, r.root_id, r.attempt, r.crashes
), parked as (
    insert into pgflow.parked (task_id, root_id, reason, since, actor, attempt, crashes)
    select m.task_id, m.root_id, 'paused', pgflow.now(), %(actor)s::text, m.attempt, m.crashes
      from (select task_id, root_id, attempt, crashes from unqueued union all select * from unthrottled) m
    returning 1
)
select (select max(p.id) from page p), (select count(*) from parked),
       (select pgflow.admit(array_agg(u.queue), array_agg(u.slot)) from unqueued u
         where u.slot is not null having count(*) > 0)
