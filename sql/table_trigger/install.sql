-- Guarantees: the table trigger is installed as described, or nothing has changed and the answer tells why.
-- Index: none (catalog).
select pgflow.install_table_trigger(%(config)s::jsonb)
