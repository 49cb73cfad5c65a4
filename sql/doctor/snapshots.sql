-- Guarantees: who keeps vacuum from clearing dead rows of this database, the oldest first: sessions with an open
-- transaction, prepared transactions, replication slots. Of other users' sessions only as much as the role may see.
-- Index: none (catalog).
select h.kind, h.pid, h.who, h.state, h.seconds, h.transactions, h.what
  from (select 'session' as kind, a.pid, concat_ws(' ', a.usename, nullif(a.application_name, '')) as who, a.state,
               extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds,
               greatest(age(a.backend_xmin), age(a.backend_xid)) as transactions,
               left(regexp_replace(a.query, '\s+', ' ', 'g'), 120) as what
          from pg_stat_activity a
         where (a.backend_xmin is not null or a.backend_xid is not null) and a.pid <> pg_backend_pid()
           and (a.datname is null or a.datname = current_database()) and a.backend_type <> 'autovacuum worker'
        union all
        select 'prepared transaction', null, p.owner::text, null,
               extract(epoch from clock_timestamp() - p.prepared)::float8, age(p.transaction), p.gid
          from pg_prepared_xacts p where p.database = current_database()
        union all
        select 'replication slot', s.active_pid, s.slot_name::text, case when s.active then 'active' else 'inactive' end,
               null, greatest(age(s.xmin), age(s.catalog_xmin)), s.slot_type
          from pg_replication_slots s where s.xmin is not null) h
 order by h.transactions desc nulls last, h.seconds desc nulls last limit %(limit)s::integer
