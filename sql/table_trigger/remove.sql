-- Guarantees: these table triggers are gone; those that were there are told.
-- Index: none (catalog).
select n.name from unnest(%(names)s::text[]) n(name) where pgflow.remove_table_trigger(n.name)
