-- Guarantees: what an event of this name may start: the triggers that are not paused and whose pattern is one of these.
-- Index: trigger_event.
select t.id, t.name, t.event, t.start, t.filter
  from pgflow.trigger t
 where t.kind = 'event' and t.event = any(%(patterns)s::text[]) and t.paused_at is null
 order by t.id
