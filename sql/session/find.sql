-- Guarantees: who is signed in with this session, and the seconds it has left.
-- Index: session_pkey, user_pkey.
select u.id, u.name, u.role, u.scopes, extract(epoch from s.expires_at - pgflow.now())::float8
  from pgflow.session s join pgflow.user u on u.id = s.user_id
 where s.hash = %(hash)s::bytea and s.expires_at > pgflow.now()
