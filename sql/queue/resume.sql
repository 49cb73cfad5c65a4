-- Guarantees: the queue is claimed from again, and every heart is told. Returns a row if it was paused.
-- Index: queue_pkey.
with resumed as (
    update pgflow.queue set paused_at = null, paused_by = null
     where name = %(name)s::text and paused_at is not null
    returning name
)
select name, pg_notify('pgflow.control', '') from resumed
