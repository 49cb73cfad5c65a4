-- Guarantees: a partition whose tables are gone is no longer in the registry.
-- Index: partition_pkey.
delete from pgflow.partition where lower = %(lower)s::bigint
