-- Guarantees: up to `limit` keys that are held only until a task of this stretch of runs has its outcome are gone, before
-- the outcomes are: no run in it is live, so none of them keeps anybody out any more. Returns how many.
-- Index: idempotency_pkey, read whole, once for each partition that is dropped.
with gone as (
    delete from pgflow.idempotency k where k.ctid = any(array(
        select k.ctid from pgflow.idempotency k
         where k.expires_at is null and k.root_id >= %(lower)s::bigint and k.root_id < %(upper)s::bigint
         limit %(limit)s::integer for update skip locked))
    returning 1
)
select count(*) from gone
