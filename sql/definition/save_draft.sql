-- Guarantees: the draft is as given, if it has the revision that is expected (0: there is none), or whichever it has when
-- none is; else no row. A new draft is begun from the newest version, unless it is said from which.
-- Index: draft_pkey, definition_pkey.
insert into pgflow.draft as r (name, document, base, created_at, changed_at, actor)
select %(name)s::text, %(document)s::json,
       coalesce(%(base)s::integer, (select max(d.version) from pgflow.definition d where d.name = %(name)s::text), 0),
       now.now, now.now, %(actor)s::text
  from (select pgflow.now() as now offset 0) as now
 where coalesce(%(expected)s::integer, 0) = 0 or exists (select from pgflow.draft where name = %(name)s::text)
on conflict (name) do update set
    document = excluded.document, base = coalesce(%(base)s::integer, r.base), changed_at = excluded.changed_at,
    actor = excluded.actor, revision = r.revision + 1
  where r.revision = coalesce(%(expected)s::integer, r.revision)
returning r.name, r.document, r.revision, r.base, r.created_at, r.changed_at, r.actor
