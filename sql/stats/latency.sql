-- Guarantees: for each stretch of time, oldest first, how long attempts that ended in it ran, and how long tasks that
-- started in it for the first time had waited since they were due: percentiles in seconds, over at most `most` of each,
-- chosen at random. An attempt is left out whose start lies more than 500 events of its run back.
-- Index: none for the events (pgflow.events_since); event_pkey, task_pkey.
with known as materialized (
    select h.root_id, h.task_id, h.id, h.type, h.at, greatest(t.created_at, t.due_at) as due_at
      from (select e.* from pgflow.events_since(%(since)s::timestamptz, %(pages)s::integer) e
             where e.at < %(until)s::timestamptz
               and (e.type in ('task.completed', 'task.failed', 'task.retried')
                    or e.type = 'task.started' and e.attempt = 1)) h
      left join lateral (
           select t.queue, t.created_at, t.due_at from pgflow.task t
            where t.root_id = h.root_id and t.id = h.task_id
              and (h.type = 'task.started' or %(queue)s::text is not null) offset 0) t on true
      left join lateral (
           select r.name from pgflow.task r
            where r.root_id = h.root_id and r.id = h.root_id and %(workflow)s::text is not null offset 0) r on true
     where (%(queue)s::text is null or t.queue = %(queue)s::text)
       and (%(workflow)s::text is null or r.name = %(workflow)s::text)
), ended as materialized (
    select k.* from known k where k.type <> 'task.started' order by random() limit %(most)s::integer
), begun as materialized (
    select k.at, k.at - k.due_at as waited from known k where k.type = 'task.started' and k.due_at is not null
     order by random() limit %(most)s::integer
), ran as materialized (
    select e.at, e.at - s.at as took
      from ended e
     cross join lateral (
           select max(s.at) as at
             from (select s.at, s.task_id, s.type from pgflow.event s
                    where s.root_id = e.root_id and s.id < e.id order by s.id desc limit 500) s
            where s.task_id = e.task_id and s.type = 'task.started') s
     where s.at is not null
), times as (
    select at, extract(epoch from took)::float8 as took, null::float8 as waited from ran
    union all
    select at, null, greatest(0, extract(epoch from waited)::float8) from begun
)
select date_bin(%(every)s::interval, t.at, '2000-01-01Z') as at, count(t.took), count(t.waited),
       percentile_cont(array[0.5, 0.95, 0.99]) within group (order by t.took),
       percentile_cont(array[0.5, 0.95, 0.99]) within group (order by t.waited)
  from times t
 group by 1
 order by 1
