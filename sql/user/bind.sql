-- Guarantees: a user who has no password and whom nobody has signed in as yet is this subject's from now on. No row: there
-- is no such user.
-- Index: user_name_key.
update pgflow.user set subject = %(subject)s::text
 where name = %(name)s::text and password is null and subject is null
returning id, name, role, scopes, password is not null, created_at, created_by
