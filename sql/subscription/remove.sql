-- Guarantees: these subscriptions are gone; deliveries that are still on their way find that out. Returns their names.
-- Index: subscription_name_key.
delete from pgflow.subscription s where s.name = any(%(names)s::text[]) returning s.name
