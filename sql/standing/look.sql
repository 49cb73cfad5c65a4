-- Guarantees: one row: the schema's version, and when the leader last said that it is there.
-- Index: none, because both tables are a few rows.
select (select coalesce(max(version), 0) from pgflow.migration),
       (select seen_at from pgflow.leader),
       (select extract(epoch from pgflow.now() - seen_at)::float8 from pgflow.leader)
