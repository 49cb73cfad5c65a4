-- Guarantees: which version of a workflow is the newest. Its document is not read.
-- Index: definition_pkey.
select d.version, d.kind from pgflow.definition d
 where d.name = %(name)s::text order by d.version desc limit 1
