-- Guarantees: a new token. No row: its name is taken by one that is not revoked.
-- Index: token_name.
insert into pgflow.token (name, shown, hash, role, scopes, created_at, created_by, expires_at)
values (%(name)s::text, %(shown)s::text, %(hash)s::bytea, %(role)s::text, %(scopes)s::text[], pgflow.now(),
        %(actor)s::text, pgflow.now() + %(lifetime)s::float8 * interval '1 second')
on conflict (name) where revoked_at is null do nothing
returning id, name, shown, role, scopes, created_at, created_by, expires_at, used_at, revoked_at
