-- Guarantees: every offset of the engine's clock that is set: for this session, this database or one of its roles.
-- Index: none (catalog).
select 'this session' as whose, nullif(current_setting('pgflow.clock_offset', true), '') as value
 where nullif(current_setting('pgflow.clock_offset', true), '') is not null
union all
select concat_ws(' and ', 'database ' || d.datname, 'role ' || r.rolname), split_part(c.entry, '=', 2)
  from pg_db_role_setting s cross join lateral unnest(s.setconfig) as c(entry)
  left join pg_database d on d.oid = s.setdatabase
  left join pg_roles r on r.oid = s.setrole
 where starts_with(c.entry, 'pgflow.clock_offset=') and split_part(c.entry, '=', 2) <> ''
   and (d.oid is null or d.datname = current_database())
