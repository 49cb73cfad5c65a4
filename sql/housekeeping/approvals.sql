-- Guarantees: questions whose run's history has been dropped are gone, up to `limit` between any two partitions that are
-- left. Returns how many.
-- Index: approval_root_id_task_id_node_key, read only between the partitions that are left.
with kept as materialized (
    select p.lower, lag(p.upper, 1, 0::bigint) over (order by p.lower) as dropped_from from pgflow.partition p
), gone as (
    delete from pgflow.approval a where a.ctid = any(array(
        select g.ctid from kept k cross join lateral (
               select ctid from pgflow.approval
                where root_id >= k.dropped_from and root_id < k.lower
                order by root_id limit %(limit)s::integer for update skip locked) g
         where k.dropped_from < k.lower))
    returning 1
)
select count(*) from gone
