-- Guarantees: like event/after, but of one run's events alone, which are found by their run.
-- Index: event_pkey, task_pkey.
with bounds as materialized (
    select pg_snapshot_xmin(s)::text::bigint as final, pg_snapshot_xmax(s)::text::bigint as next
      from pg_current_snapshot() s
), met as materialized (
    select e.* from bounds b cross join pgflow.event e
     where e.root_id = %(run)s::bigint and e.xid < b.final
       and (e.xid > %(xid)s::bigint or (e.xid = %(xid)s::bigint and e.id > %(id)s::bigint))
     order by e.xid, e.id limit %(limit)s::integer
), fitting as (
    select m.*, t.name, t.step, r.name as workflow
      from met m
     cross join lateral (
           select name, step from pgflow.task where root_id = m.root_id and id = m.task_id offset 0) t
     cross join lateral (
           select name from pgflow.task where root_id = m.root_id and id = m.root_id offset 0) r
     where (%(types)s::pgflow.event_type[] is null or m.type = any(%(types)s::pgflow.event_type[]))
       and (%(workflows)s::text[] is null or r.name = any(%(workflows)s::text[]))
)
select b.final, b.next, c.count, c.last[1], c.last[2],
       f.id, f.xid, f.root_id, f.task_id, f.type::text, f.at, f.attempt, f.worker_id, f.key, f.actor, f.data, f.name,
       f.step, f.workflow
  from bounds b
 cross join (select count(*) as count, max(array[m.xid, m.id]) as last from met m) c
  left join fitting f on true
 order by f.xid, f.id
