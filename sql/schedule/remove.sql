-- Guarantees: these schedules and their firings are gone; runs that they started go on.
-- Index: schedule_name_key, firing_pkey.
delete from pgflow.schedule s where s.name = any(%(names)s::text[]) returning s.name
