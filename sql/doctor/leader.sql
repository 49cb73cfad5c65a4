-- Guarantees: the last leader known, how long ago it was seen, and whether somebody holds the leader's lock right now.
-- Index: leader_pkey.
select l.term, l.host, l.pid, l.since, extract(epoch from n.now - l.seen_at)::float8 as silence,
       exists (select from pg_locks k
                where k.locktype = 'advisory' and k.granted and k.objsubid = 1
                  and k.database = (select oid from pg_database where datname = current_database())
                  and k.classid::bigint = (hashtextextended('pgflow.leader', 0) >> 32) & 4294967295
                  and k.objid::bigint = hashtextextended('pgflow.leader', 0) & 4294967295) as locked
  from (select pgflow.now() as now offset 0) n cross join pgflow.leader l
