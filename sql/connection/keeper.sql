-- Guarantees: true when queries of others are done with the rights of the reader role (see pgflow.look); false when there
-- is that role, but whoever migrated could not give it the function; null when this schema is without roles. No row when
-- the function is missing.
-- Index: none (catalog).
select p.proowner = r.oid
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace and n.nspname = split_part('pgflow.task', '.', 1)
  left join pg_roles r on r.rolname = n.nspname || '_reader' and has_schema_privilege(r.oid, n.oid, 'usage')
 where p.proname = 'look'
