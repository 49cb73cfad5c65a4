-- Guarantees: from its commit on the test clock of this database is so many seconds further ahead.
-- Index: none, because there is one row.
update pgflow.test_clock set ahead = ahead + make_interval(secs => %(seconds)s::float8)
