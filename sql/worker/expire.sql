-- Guarantees: every worker whose lease ran out is closed, unless it is just renewing. Returns those, and every other
-- closed worker that holds a lease: a claim may have been under way when its worker was closed.
-- Index: worker_closed; the open workers are read whole, being few: an index on lease_until would make every beat
-- write to it.
with expired as (
    update pgflow.worker w set closed_at = c.now, closed_why = 'lease expired', running = 0
      from (select pgflow.now() as now offset 0) c
     where w.ctid = any(array(
           select ctid from pgflow.worker where closed_at is null and lease_until < (select pgflow.now())
            order by lease_until limit 100 for update skip locked))
       and w.closed_at is null and w.lease_until < c.now
    returning w.id
)
select id from expired
union all
select w.id from pgflow.worker w
 where w.closed_at is not null and exists (select from pgflow.lease l where l.worker_id = w.id)
