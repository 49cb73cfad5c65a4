-- Guarantees: workers closed more than a day ago that hold no lease are gone, and cancellations nobody came for.
-- Index: worker_closed, lease_worker.
with forgotten as (
    delete from pgflow.worker w where w.closed_at < pgflow.now() - interval '1 day'
       and not exists (select from pgflow.lease l where l.worker_id = w.id)
    returning w.id
)
delete from pgflow.cancellation where at < pgflow.now() - interval '1 hour'
