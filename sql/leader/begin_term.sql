-- Guarantees: the new term is visible in SQL; terms only grow. Run under the leader's lock.
-- Index: leader_pkey.
insert into pgflow.leader as l (term, host, pid, backend_pid, since, seen_at)
values (1, %(host)s::text, %(pid)s::integer, pg_backend_pid(), pgflow.now(), pgflow.now())
on conflict (one) do update set term = l.term + 1, host = excluded.host, pid = excluded.pid,
    backend_pid = excluded.backend_pid, since = excluded.since, seen_at = excluded.seen_at
returning term
