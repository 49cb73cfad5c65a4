-- Guarantees: up to `limit` keys whose time is over, or that were held only until their task had its outcome, and it has,
-- or its history has been dropped, are gone. Returns how many.
-- Index: outcome_pkey, partition_pkey; the keys are read whole. Scalar subqueries, because an EXISTS may be planned as a
-- hash of all outcomes.
with gone as (
    delete from pgflow.idempotency k where k.ctid = any(array(
        select k.ctid from pgflow.idempotency k
         where k.expires_at < (select pgflow.now()) or (k.expires_at is null and (
               (select true from pgflow.outcome o where o.root_id = k.root_id and o.task_id = k.task_id)
               or (select true from pgflow.partition p where p.lower <= k.root_id and p.upper > k.root_id) is null))
         limit %(limit)s::integer for update skip locked))
    returning 1
)
select count(*) from gone
