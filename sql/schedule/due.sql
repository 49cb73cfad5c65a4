-- Guarantees: up to `limit` schedules that have an instant to look at by now, the longest due first.
-- Index: schedule_next.
select s.id, s.revision, s.name, s.start -> 'input', s.cron, s.every, s.at, s.timezone, s.starts_at, s.ends_at,
       s.created_at, s.next_at, s.overlap, s.catch_up, c.now
  from (select pgflow.now() as now offset 0) c cross join lateral (
       select * from pgflow.schedule
        where next_at <= c.now and paused_at is null order by next_at limit %(limit)s::integer) s
