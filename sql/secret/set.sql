-- Guarantees: the secret holds what was sealed now. A version more than before, 1 for a new one.
-- Index: secret_pkey.
insert into pgflow.secret as s (name, sealed, key_id, created_at, changed_at, actor)
values (%(name)s::text, %(sealed)s::bytea, %(key_id)s::text, pgflow.now(), pgflow.now(), %(actor)s::text)
on conflict (name) do update set
    sealed = excluded.sealed, key_id = excluded.key_id, version = s.version + 1, changed_at = excluded.changed_at,
    actor = excluded.actor
returning version
