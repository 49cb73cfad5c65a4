-- Guarantees: for each of the schema's three roles, whether it exists and whether the current user has its rights.
-- Index: none (catalog).
select w.role as name, r.oid is not null as present, coalesce(pg_has_role(current_user, r.oid, 'usage'), false) as held
  from (select split_part('pgflow.task', '.', 1) || s.suffix as role, s.position
          from unnest(array['_owner', '_worker', '_reader']) with ordinality as s(suffix, position)) w
  left join pg_roles r on r.rolname = w.role
 order by w.position
