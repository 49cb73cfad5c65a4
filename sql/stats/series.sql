-- Guarantees: how much was started and ended in each stretch of time, oldest first, of all or of each group (workflow or
-- queue); groups that are not among the `groups` most eventful ones are one, ''. `weight` is 1 when all was counted.
-- Index: none for the events (pgflow.events_since); task_pkey.
with happened as materialized (
    select e.* from pgflow.events_since(%(since)s::timestamptz, %(pages)s::integer) e
     where e.at < %(until)s::timestamptz
       and e.type in ('task.started', 'task.completed', 'task.failed', 'task.retried', 'task.cancelled', 'lease.expired')
), named as (
    select h.at, h.type, h.weight,
           case %(by)s::text when 'workflow' then r.name when 'queue' then t.queue else '' end as name
      from happened h
      left join lateral (
           select t.queue from pgflow.task t
            where t.root_id = h.root_id and t.id = h.task_id
              and (%(by)s::text = 'queue' or %(queue)s::text is not null) offset 0) t on true
      left join lateral (
           select r.name from pgflow.task r
            where r.root_id = h.root_id and r.id = h.root_id
              and (%(by)s::text = 'workflow' or %(workflow)s::text is not null) offset 0) r on true
     where (%(queue)s::text is null or t.queue = %(queue)s::text)
       and (%(workflow)s::text is null or r.name = %(workflow)s::text)
), greatest as (
    select n.name from named n group by n.name order by sum(n.weight) desc, n.name limit %(groups)s::integer
)
select date_bin(%(every)s::interval, n.at, '2000-01-01Z') as at, coalesce(g.name, '') as name,
       sum(n.weight) filter (where n.type = 'task.started') as started,
       sum(n.weight) filter (where n.type = 'task.completed') as completed,
       sum(n.weight) filter (where n.type = 'task.failed') as failed,
       sum(n.weight) filter (where n.type = 'task.retried') as retried,
       sum(n.weight) filter (where n.type = 'task.cancelled') as cancelled,
       sum(n.weight) filter (where n.type = 'lease.expired') as lost_leases, max(n.weight) as weight
  from named n left join greatest g on g.name = n.name
 group by 1, 2
 order by 1, 2
