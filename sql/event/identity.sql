-- Guarantees: the same for everybody who works with this engine, and different for every other: of the server, of the
-- database, and of when the schema was made.
-- Index: none, because the ledger is small.
select concat_ws('/', s.system_identifier, d.oid, extract(epoch from min(m.applied_at))::text)
  from pg_control_system() s
 cross join pg_database d
 cross join pgflow.migration m
 where d.datname = current_database()
 group by s.system_identifier, d.oid
