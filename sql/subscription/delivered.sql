-- Guarantees: the subscription's failures are forgotten; where there are none, nothing is written.
-- Index: subscription_pkey.
update pgflow.subscription s set failures = 0, failing_since = null
 where s.id = %(subscription)s::bigint and (s.failures > 0 or s.failing_since is not null)
