-- Guarantees: every worker that is open, or was closed within the last day, newest first.
-- Index: none, because the table holds a day of workers at most.
select id, host, pid, version, queues, concurrency, running, started_at, seen_at, lease_until, closed_at, closed_why,
       cardinality(tasks) as tasks
  from pgflow.worker where closed_at is null or closed_at > pgflow.now() - interval '1 day'
 order by closed_at is not null, started_at desc
