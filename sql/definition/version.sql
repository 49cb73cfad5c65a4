-- Guarantees: one version of a workflow.
-- Index: definition_pkey.
select d.version, d.kind, d.document, d.created_at, d.actor, d.checksum from pgflow.definition d
 where d.name = %(name)s::text and d.version = %(version)s::integer
