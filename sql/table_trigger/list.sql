-- Guarantees: every table trigger that the catalog has, or those of these names, by name.
-- Index: none (catalog).
select t.name, format('%%I.%%I', n.nspname, c.relname), t.triggers, t.enabled, t.config
  from pgflow.table_triggers() t
  join pg_class c on c.oid = t.relation
  join pg_namespace n on n.oid = c.relnamespace
 where %(names)s::text[] is null or t.name = any(%(names)s::text[])
 order by t.name
