-- Guarantees: schedules that code of these sources declared, and declares no more, are paused.
-- Index: schedule_pkey; schedules are few.
update pgflow.schedule s set paused_at = pgflow.now(), paused_by = '@code'
 where s.source = any(%(sources)s::text[]) and s.name <> all(%(names)s::text[]) and s.paused_at is null
returning s.name
