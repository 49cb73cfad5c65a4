-- Guarantees: throttled tasks of these queues are ready as far as there is room. Returns how many.
-- Index: limit_pkey (in pgflow.admit).
select pgflow.admit(%(queues)s::text[])
