-- Guarantees: tasks of the queue grow one priority more urgent each `ageing` seconds they wait; null: they do not.
-- Index: queue_pkey.
insert into pgflow.queue (name, ageing, created_at) values (%(name)s::text, %(ageing)s::float8, pgflow.now())
on conflict (name) do update set ageing = excluded.ageing
