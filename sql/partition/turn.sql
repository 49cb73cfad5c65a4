-- Guarantees: new ids come from the next partition, so that a partition holds about a day and can be dropped by age.
-- Only when the present one has far more than a second's worth of ids left, because ids are given out meanwhile.
-- Index: partition_pkey.
select setval('pgflow.task_id_seq', p.upper, false)
  from pgflow.partition p cross join pgflow.task_id_seq s
 where s.last_value >= p.lower and s.last_value < p.upper - 1000000 and s.is_called
   and p.first_used_at < pgflow.now() - %(age)s::float8 * interval '1 s'
   and exists (select from pgflow.partition n where n.lower = p.upper)
