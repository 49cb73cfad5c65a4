-- Guarantees: these triggers are gone; runs that they started go on.
-- Index: trigger_name_key.
delete from pgflow.trigger t where t.name = any(%(names)s::text[]) returning t.name
