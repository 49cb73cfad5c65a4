-- Guarantees: of all events whose place in the order (xid, id) is final, up to `limit` are looked at, from the first
-- after the cursor on; those that fit come back, in that order. Each row repeats how far was looked: how many there
-- were, the last one, and below which transaction every place is final. One row without an event when none fits.
-- Index: event_cursor (in pgflow.events_after), task_pkey.
with bounds as materialized (
    select pg_snapshot_xmin(s)::text::bigint as final, pg_snapshot_xmax(s)::text::bigint as next
      from pg_current_snapshot() s
), met as materialized (
    select e.* from bounds b
     cross join lateral pgflow.events_after(%(xid)s::bigint, %(id)s::bigint, b.final, %(limit)s::integer) e
), named as (
    select m.*, t.name, t.step, case when m.root_id = m.task_id then t.name else r.name end as workflow
      from met m
     cross join lateral (
           select name, step from pgflow.task where root_id = m.root_id and id = m.task_id offset 0) t
      left join lateral (
           select name from pgflow.task
            where root_id = m.root_id and id = m.root_id and m.root_id <> m.task_id offset 0) r on true
     where %(types)s::pgflow.event_type[] is null or m.type = any(%(types)s::pgflow.event_type[])
), fitting as (
    select * from named n where %(workflows)s::text[] is null or n.workflow = any(%(workflows)s::text[])
)
select b.final, b.next, c.count, c.last[1], c.last[2],
       f.id, f.xid, f.root_id, f.task_id, f.type::text, f.at, f.attempt, f.worker_id, f.key, f.actor, f.data, f.name,
       f.step, f.workflow
  from bounds b
 cross join (select count(*) as count, max(array[m.xid, m.id]) as last from met m) c
  left join fitting f on true
 order by f.xid, f.id
