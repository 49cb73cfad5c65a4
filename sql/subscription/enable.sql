-- Guarantees: these subscriptions are told of events again, from now on, with a clean record. Returns those that were
-- disabled.
-- Index: subscription_name_key.
update pgflow.subscription s
   set disabled_at = null, disabled_why = null, failures = 0, failing_since = null, changed_at = pgflow.now(),
       actor = %(actor)s::text
 where s.name = any(%(names)s::text[]) and s.disabled_at is not null
returning s.name
