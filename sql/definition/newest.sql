-- Guarantees: the newest version of a workflow.
-- Index: definition_pkey.
select d.version, d.kind, d.document, d.created_at, d.actor, d.checksum from pgflow.definition d
 where d.name = %(name)s::text order by d.version desc limit 1
