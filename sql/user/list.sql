-- Guarantees: users by name, from after a name on, without their passwords.
-- Index: user_name_key.
select id, name, role, scopes, password is not null, created_at, created_by
  from pgflow.user where name > %(after)s::text order by name limit %(limit)s::integer
