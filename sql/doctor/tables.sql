-- Guarantees: how much of each table that churns is dead, when it was cleared last, and whether autovacuum may do it.
-- Index: none (catalog).
select c.relname::text as name, coalesce(s.n_live_tup, 0) as live, coalesce(s.n_dead_tup, 0) as dead,
       pg_total_relation_size(c.oid) as bytes, greatest(s.last_vacuum, s.last_autovacuum) as vacuumed_at,
       coalesce('autovacuum_enabled=false' = any(c.reloptions) or 'autovacuum_enabled=off' = any(c.reloptions), false)
           as autovacuum_off
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_stat_all_tables s on s.relid = c.oid
 where n.nspname = split_part('pgflow.task', '.', 1)
   and c.relname in ('ready', 'lease', 'delayed', 'inbox', 'throttled', 'worker', 'idle')
 order by c.relname
