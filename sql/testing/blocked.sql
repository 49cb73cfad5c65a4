-- Guarantees: for each of these server processes, who keeps it waiting for a lock at this moment; nobody: it works on.
-- Index: none, because it reads the server's own memory.
select p.id, pg_blocking_pids(p.id) from unnest(%(pids)s::integer[]) as p(id)
