-- Guarantees: this user is there no more, nor signed in. Returns who it was.
-- Index: user_name_key, session_of_user.
delete from pgflow.user where name = %(name)s::text
returning id, name, role, scopes, password is not null, created_at, created_by
