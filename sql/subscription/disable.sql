-- Guarantees: these subscriptions are told of no event any more, for the reason given. Returns those that were enabled.
-- Index: subscription_name_key.
update pgflow.subscription s
   set disabled_at = pgflow.now(), disabled_why = %(why)s::text, changed_at = pgflow.now(), actor = %(actor)s::text
 where s.name = any(%(names)s::text[]) and s.disabled_at is null
returning s.name
