-- Guarantees: these triggers start nothing more until they are resumed. Returns those that were not paused before.
-- Index: trigger_name_key.
update pgflow.trigger t set paused_at = pgflow.now(), paused_by = coalesce(%(actor)s::text, 'somebody')
 where t.name = any(%(names)s::text[]) and t.paused_at is null
returning t.name
