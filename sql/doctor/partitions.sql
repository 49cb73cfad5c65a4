-- Guarantees: how many ids and how many whole partitions lie ahead of the last id given out, and which registered
-- partitions lack a table.
-- Index: partition_pkey.
select coalesce(max(p.upper), 0) - max(s.last_value) as ids_ahead,
       count(*) filter (where p.lower > s.last_value) as whole_ahead,
       coalesce(max(p.upper - p.lower), 0) as width,
       coalesce(array_agg(p.lower order by p.lower) filter (where
           to_regclass('pgflow.task_' || p.lower / (p.upper - p.lower)) is null
           or to_regclass('pgflow.outcome_' || p.lower / (p.upper - p.lower)) is null
           or to_regclass('pgflow.event_' || p.lower / (p.upper - p.lower)) is null), '{}') as broken
  from pgflow.task_id_seq s left join pgflow.partition p on true
