-- Guarantees: the user of this name, or who signs in elsewhere as this subject, with the hash of the password.
-- Index: user_name_key, user_subject_key.
select id, name, role, scopes, password is not null, created_at, created_by, password
  from pgflow.user where name = %(name)s::text or subject = %(subject)s::text
