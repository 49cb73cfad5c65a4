-- Guarantees: a notification on the channel, if the path from here to its listener works: the listener's self-test.
-- Index: none, because it reads no table.
select pg_notify(%(channel)s::text, '')
