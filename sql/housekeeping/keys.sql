-- Guarantees: keys whose time is over, or whose task has its outcome and that were held only until then, are gone.
-- Index: idempotency_expires, outcome_pkey.
delete from pgflow.idempotency k where k.ctid = any(array(
    select k.ctid from pgflow.idempotency k
     where k.expires_at < pgflow.now() or (k.expires_at is null and exists (
           select from pgflow.outcome o where o.root_id = k.root_id and o.task_id = k.task_id))
     limit 1000 for update skip locked))
