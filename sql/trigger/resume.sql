-- Guarantees: these triggers start runs again. Returns those that were paused.
-- Index: trigger_name_key.
update pgflow.trigger t set paused_at = null, paused_by = null
 where t.name = any(%(names)s::text[]) and t.paused_at is not null
returning t.name
