-- Guarantees: these workers can never renew again, so that their leases may be taken at once.
-- Index: worker_pkey.
update pgflow.worker set closed_at = pgflow.now(), closed_why = %(why)s::text, running = 0
 where id = any(%(ids)s::bigint[]) and closed_at is null
returning id
