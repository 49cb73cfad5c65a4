-- Guarantees: the queue is paused in the database at once and every heart is told; those that are claiming just now
-- finish that claim.
-- Index: queue_pkey.
with paused as (
    insert into pgflow.queue (name, paused_at, paused_by, created_at)
    values (%(name)s::text, pgflow.now(), %(actor)s::text, pgflow.now())
    on conflict (name) do update set paused_at = excluded.paused_at, paused_by = excluded.paused_by
    returning name
)
select name, pg_notify('pgflow.control', '') from paused
