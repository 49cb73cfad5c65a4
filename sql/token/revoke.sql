-- Guarantees: the token of this id, or all of this name, are good for nothing any more. Returns those that were until now.
-- Index: token_pkey, token_name.
update pgflow.token set revoked_at = pgflow.now(), revoked_by = %(actor)s::text
 where revoked_at is null and (id = %(id)s::bigint or name = %(name)s::text)
returning id, name, shown, role, scopes, created_at, created_by, expires_at, used_at, revoked_at
