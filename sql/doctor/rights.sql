-- Guarantees: what the current user may do with this schema, and whether it sees what others' sessions do. Asks for
-- nothing that needs a right itself.
-- Index: none (catalog).
with tables as (
    select c.relname as name, c.oid from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = split_part('pgflow.task', '.', 1) and c.relkind in ('r', 'p') and not c.relispartition
       and c.relname not in ('secret', 'user', 'token', 'session')  -- which no reader may read
), home as (
    select n.oid, n.nspowner from pg_namespace n where n.nspname = split_part('pgflow.task', '.', 1)
)
select (select rolsuper from pg_roles where rolname = current_user) as superuser,
       pg_has_role(current_user, h.nspowner, 'usage') as may_change,
       has_schema_privilege(h.oid, 'usage')
           and (select bool_and(has_table_privilege(t.oid, 'select')) from tables t) as may_read,
       has_schema_privilege(h.oid, 'usage')
           and (select bool_and(has_table_privilege(t.oid, 'insert')) from tables t
                 where t.name in ('task', 'outcome', 'event', 'ready', 'lease', 'delayed', 'inbox', 'worker', 'idle'))
           and (select bool_and(has_table_privilege(t.oid, 'delete') and has_table_privilege(t.oid, 'update')) from tables t
                 where t.name in ('ready', 'lease', 'delayed', 'inbox', 'worker', 'idle')) as may_work,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') as may_monitor
  from home h
