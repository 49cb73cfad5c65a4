-- Guarantees: tokens, newest first, without what would let anybody in.
-- Index: token_pkey.
select id, name, shown, role, scopes, created_at, created_by, expires_at, used_at, revoked_at
  from pgflow.token
 where (%(id)s::bigint is null or id = %(id)s::bigint) and (%(revoked)s::boolean or revoked_at is null)
   and (%(before)s::bigint is null or id < %(before)s::bigint)
 order by id desc limit %(limit)s::integer
