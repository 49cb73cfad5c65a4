-- Guarantees: each definition that differs from the newest version of its name is a new version; others are left alone.
-- Index: definition_pkey.
insert into pgflow.definition (name, version, kind, checksum, document, created_at, actor)
select a.name, coalesce(d.version, 0) + 1, a.kind, a.checksum, a.document, pgflow.now(), %(actor)s::text
  from rows from (unnest(%(names)s::text[]), unnest(%(kinds)s::text[]), unnest(%(checksums)s::bytea[]),
                  jsonb_array_elements(%(documents)s::jsonb)) as a(name, kind, checksum, document)
  left join lateral (
       select version, checksum from pgflow.definition where name = a.name order by version desc limit 1) d on true
 where d.checksum is distinct from a.checksum
 order by a.name
on conflict (name, version) do nothing
