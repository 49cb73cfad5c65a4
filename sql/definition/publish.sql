-- Guarantees: a document whose checksum differs from that of the newest version of its name is the next version, if the
-- newest is the one that is expected, or whichever it is when none is. One row: the newest before, and the new one. When
-- both are null and there is no reason for it, somebody else published in the very same moment.
-- Index: definition_pkey.
with newest as (
    select d.version, d.checksum, d.kind from pgflow.definition d
     where d.name = %(name)s::text order by d.version desc limit 1
), put as (
    insert into pgflow.definition (name, version, kind, checksum, document, created_at, actor)
    select %(name)s::text, coalesce(n.version, 0) + 1, 'graph', %(checksum)s::bytea, %(document)s::json, pgflow.now(),
           %(actor)s::text
      from (values (1)) as one left join newest n on true
     where n.checksum is distinct from %(checksum)s::bytea and n.kind is distinct from 'code'
       and coalesce(%(expected)s::integer, n.version, 0) = coalesce(n.version, 0)
    on conflict (name, version) do nothing
    returning version
)
select n.version, n.kind, n.checksum = %(checksum)s::bytea, p.version
  from (values (1)) as one left join newest n on true left join put p on true
