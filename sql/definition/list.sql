-- Guarantees: the newest version of each workflow, by name, from after a name on; with the revision of its draft. Of
-- those that are only drafts, the draft alone.
-- Index: definition_pkey, draft_pkey.
with recursive name as (
    (select d.name from pgflow.definition d where d.name > %(after)s::text order by d.name limit 1)
    union all
    select (select d.name from pgflow.definition d where d.name > name.name order by d.name limit 1)
      from name where name.name is not null
), found as (
    (select name.name from name where name.name is not null limit %(limit)s::integer)
    union
    (select r.name from pgflow.draft r where r.name > %(after)s::text order by r.name limit %(limit)s::integer)
    order by 1 limit %(limit)s::integer
)
select f.name, d.version, d.kind, coalesce(d.document, r.document) ->> 'title',
       case when d.kind = 'graph' then (select count(*)::integer from json_object_keys(d.document -> 'nodes')) end,
       d.created_at, d.actor, r.revision
  from found f
  left join lateral (
       select * from pgflow.definition where name = f.name order by version desc limit 1) d on true
  left join pgflow.draft r on r.name = f.name
 order by f.name
