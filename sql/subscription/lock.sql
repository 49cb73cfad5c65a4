-- Guarantees: the subscription of that name, if there is one, stays as it is until the transaction ends. Returns its
-- revision.
-- Index: subscription_name_key.
select s.revision from pgflow.subscription s where s.name = %(name)s::text for update
