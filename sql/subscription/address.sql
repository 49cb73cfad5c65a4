-- Guarantees: where an event is to be delivered, and what the event does not say by itself: the name of its run and the
-- error that its task ended with. No row when the subscription is gone.
-- Index: subscription_pkey, task_pkey, outcome_pkey.
select s.name, s.url, s.format, s.secrets, s.disabled_why, s.failing_since is not null or s.failures > 0,
       (select t.name from pgflow.task t where t.root_id = %(run)s::bigint and t.id = %(run)s::bigint),
       (select (o.error - 'traceback') - 'kinds' from pgflow.outcome o
         where o.root_id = %(run)s::bigint and o.task_id = %(task)s::bigint)
  from pgflow.subscription s where s.id = %(subscription)s::bigint
