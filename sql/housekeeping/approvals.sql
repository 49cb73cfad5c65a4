-- Guarantees: a question is gone once the history of its run has been dropped.
-- Index: approval_root_id_task_id_node_key, read only between the partitions that are left.
with kept as materialized (
    select p.lower, lag(p.upper, 1, 0::bigint) over (order by p.lower) as dropped_from from pgflow.partition p
)
delete from pgflow.approval a where a.ctid = any(array(
    select g.ctid from kept k cross join lateral (
           select ctid from pgflow.approval
            where root_id >= k.dropped_from and root_id < k.lower
            order by root_id limit 1000 for update skip locked) g
     where k.dropped_from < k.lower))
