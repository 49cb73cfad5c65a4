-- Guarantees: the server has ended this process and rolled back what it had not committed, or false after 5 seconds.
-- Index: none, because it reads the server's own memory.
select pg_terminate_backend(%(pid)s::integer, 5000)
