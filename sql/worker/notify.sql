-- Guarantees: a notification on the channel, if the path from here to its listener works: the listener's self-test, and
-- marked as such, because nothing has become ready.
-- Index: none, because it reads no table.
select pg_notify(%(channel)s::text, 'test')
