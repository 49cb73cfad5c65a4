-- Guarantees: what tasks told of themselves is gone once their history has been dropped, up to `limit` rows between any
-- two partitions that are left. Returns how many.
-- Index: progress_pkey, read only between the partitions that are left.
with kept as materialized (
    select p.lower, lag(p.upper, 1, 0::bigint) over (order by p.lower) as dropped_from from pgflow.partition p
), gone as (
    delete from pgflow.progress p where p.ctid = any(array(
        select g.ctid from kept k cross join lateral (
               select ctid from pgflow.progress
                where root_id >= k.dropped_from and root_id < k.lower
                order by root_id limit %(limit)s::integer for update skip locked) g
         where k.dropped_from < k.lower))
    returning 1
)
select count(*) from gone
