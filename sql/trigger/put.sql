-- Guarantees: the trigger is as given, or another has its path; see sql/functions/put_trigger.sql.
-- Index: trigger_name_key, trigger_path_key.
select pgflow.put_trigger(%(given)s::jsonb, %(create)s::boolean, %(actor)s::text)
