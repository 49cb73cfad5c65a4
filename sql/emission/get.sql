-- Guarantees: one event whole, unless its retention is over.
-- Index: emission_pkey.
select e.id, e.name, e.key, e.payload, e.given_id, e.at, e.task_id, e.actor
  from pgflow.emission e where e.id = %(id)s::bigint
