-- Guarantees: the registry knows since when each partition is in use and, once ids have moved past it, since when no
-- run in it has been live. A run that became live again (by a redrive) clears the latter.
-- Index: partition_pkey; the places are read whole, once for all partitions, because they hold only what is in motion.
with live as materialized (
    select min(m.root_id) as root_id
      from (select root_id from pgflow.ready
            union all select root_id from pgflow.lease
            union all select root_id from pgflow.delayed
            union all select root_id from pgflow.inbox where needed > arrived
            union all select root_id from pgflow.throttled
            union all select root_id from pgflow.parked) m
     group by width_bucket(m.root_id, (select array_agg(p.lower order by p.lower) from pgflow.partition p))
), found as materialized (
    select p.lower, s.is_called and s.last_value >= p.lower as used, s.last_value >= p.upper as passed,
           exists (select from live l where l.root_id >= p.lower and l.root_id < p.upper) as live
      from pgflow.partition p cross join pgflow.task_id_seq s
)
update pgflow.partition p
   set first_used_at = case when f.used then coalesce(p.first_used_at, pgflow.now()) end,
       idle_since = case when f.passed and not f.live then coalesce(p.idle_since, pgflow.now()) end
  from found f
 where p.lower = f.lower
   and (f.used <> (p.first_used_at is not null) or (f.passed and not f.live) <> (p.idle_since is not null))
