-- Guarantees: who comes with this token, when it is neither revoked nor expired, and the seconds it has left. That it was
-- used is noted at most once a minute.
-- Index: token_hash_key, token_pkey.
with found as (
    select id, name, role, scopes, expires_at, used_at from pgflow.token
     where hash = %(hash)s::bytea and revoked_at is null and (expires_at is null or expires_at > pgflow.now())
), noted as (
    update pgflow.token set used_at = pgflow.now()
     where id = (select id from found where used_at is null or used_at < pgflow.now() - interval '1 minute')
)
select id, name, role, scopes, extract(epoch from expires_at - pgflow.now())::float8 from found
