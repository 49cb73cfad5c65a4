-- Guarantees: the connection that leads is ended, and its lock with it, if it has said nothing for `silence` seconds:
-- its process is frozen, or its machine gone without a word. A leader that is at work says something every few seconds.
-- Index: none of ours but leader_pkey; the server's own lists of sessions and locks.
select pg_terminate_backend(a.pid)
  from pgflow.leader l
  join pg_stat_activity a on a.pid = l.backend_pid and a.state <> 'active'
   and a.state_change < clock_timestamp() - %(silence)s::float8 * interval '1 s'
   and pg_has_role(a.usesysid, 'usage')
 where exists (select from pg_locks k
                where k.pid = a.pid and k.locktype = 'advisory' and k.granted and k.objsubid = 1
                  and (k.classid::bigint << 32 | k.objid::bigint) = hashtextextended('pgflow.leader', 0))
