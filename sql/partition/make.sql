-- Guarantees: enough partitions lie ahead of the last id given out.
-- Index: none (catalog).
select pgflow.make_partitions(%(ahead)s::integer)
