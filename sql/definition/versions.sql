-- Guarantees: the versions of a workflow before a version, the newest first.
-- Index: definition_pkey.
select d.version, d.kind, d.document, d.created_at, d.actor, d.checksum from pgflow.definition d
 where d.name = %(name)s::text and d.version < %(before)s::integer
 order by d.version desc limit %(limit)s::integer
