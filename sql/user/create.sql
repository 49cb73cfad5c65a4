-- Guarantees: a new user. No row: the name is taken.
-- Index: user_name_key.
insert into pgflow.user (name, role, scopes, password, subject, created_at, created_by)
values (%(name)s::text, %(role)s::text, %(scopes)s::text[], %(password)s::text, %(subject)s::text, pgflow.now(),
        %(actor)s::text)
on conflict do nothing
returning id, name, role, scopes, password is not null, created_at, created_by
