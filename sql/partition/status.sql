-- Guarantees: every partition with how far ids have come, oldest first.
-- Index: partition_pkey.
select p.lower, p.upper, s.last_value, extract(epoch from pgflow.now() - p.first_used_at)::float8,
       extract(epoch from pgflow.now() - p.idle_since)::float8
  from pgflow.partition p cross join pgflow.task_id_seq s order by p.lower
