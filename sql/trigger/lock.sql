-- Guarantees: the trigger of that name, if there is one, stays as it is until the transaction ends. Returns its revision.
-- Index: trigger_name_key.
select t.revision from pgflow.trigger t where t.name = %(name)s::text for update
