-- Guarantees: whoever begins to lead looks at every schedule anew, once: by its knowledge of time zones, which may be
-- newer, an instant may lie before the one that was found. None that was decided is decided again.
-- Index: schedule_next.
update pgflow.schedule s set next_at = c.now
  from (select pgflow.now() as now offset 0) c
 where s.next_at > c.now and s.paused_at is null and s.cron is not null
   and (s.starts_at is null or s.starts_at <= c.now)
