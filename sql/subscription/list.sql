-- Guarantees: subscriptions by name, or these alone.
-- Index: subscription_name_key.
select s.id, s.name, s.types, s.names, s.runs_only, s.url, s.format, s.secrets, s.failures, s.failing_since,
       s.disabled_at, s.disabled_why, s.revision, s.created_at, s.changed_at, s.actor
  from pgflow.subscription s
 where %(names)s::text[] is null or s.name = any(%(names)s::text[])
 order by s.name
