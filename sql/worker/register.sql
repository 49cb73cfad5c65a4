-- Guarantees: the executor is known, with a lease of its own, before it claims anything.
-- Index: worker_pkey.
insert into pgflow.worker (id, host, pid, version, queues, tasks, concurrency, started_at, seen_at, lease_until)
select %(id)s::bigint, %(host)s::text, %(pid)s::integer, %(version)s::text, %(queues)s::text[], %(tasks)s::text[],
       %(concurrency)s::integer, c.now, c.now, c.now + %(lease)s::float8 * interval '1 s'
  from (select pgflow.now() as now offset 0) c
