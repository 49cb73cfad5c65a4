-- Guarantees: these schedules fire no more until they are resumed. Returns those that were not paused before.
-- Index: schedule_name_key.
update pgflow.schedule s set paused_at = pgflow.now(), paused_by = coalesce(%(actor)s::text, 'somebody')
 where s.name = any(%(names)s::text[]) and s.paused_at is null
returning s.name
