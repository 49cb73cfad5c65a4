-- Guarantees: the newest definition that is stored under this name.
-- Index: definition_pkey.
select d.version, d.kind, d.document, d.created_at from pgflow.definition d
 where d.name = %(name)s::text order by d.version desc limit 1
