-- Guarantees: how much was started and ended in each stretch of time, oldest first, of all or of each group (workflow or
-- queue); groups that are not among the `groups` most eventful ones are one, ''. `weight` is 1 when all was counted.
-- Index: none for the events (pgflow.events_since); task_pkey.
with grouped as materialized (
    select date_bin(%(every)s::interval, h.at, '2000-01-01Z') as at, h.type,
           case %(by)s::text when 'workflow' then r.name when 'queue' then t.queue else '' end as name,
           sum(h.weight) as events, max(h.weight) as weight
      from (select e.* from pgflow.events_since(%(since)s::timestamptz, %(pages)s::integer) e
             where e.at < %(until)s::timestamptz
               and e.type in ('task.started', 'task.completed', 'task.failed', 'task.retried', 'task.cancelled',
                              'lease.expired')) h
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
     group by 1, 2, 3
), greatest as (
    select n.name from grouped n group by n.name order by sum(n.events) desc, n.name limit %(groups)s::integer
)
select n.at, coalesce(g.name, '') as name,
       sum(n.events) filter (where n.type = 'task.started') as started,
       sum(n.events) filter (where n.type = 'task.completed') as completed,
       sum(n.events) filter (where n.type = 'task.failed') as failed,
       sum(n.events) filter (where n.type = 'task.retried') as retried,
       sum(n.events) filter (where n.type = 'task.cancelled') as cancelled,
       sum(n.events) filter (where n.type = 'lease.expired') as lost_leases, max(n.weight) as weight
  from grouped n left join greatest g on g.name = n.name
 group by 1, 2
 order by 1, 2
