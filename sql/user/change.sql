-- Guarantees: what is given (null: not given) is so from now on; a new password ends all sessions of the user.
-- Index: user_name_key, session_of_user.
with changed as (
    update pgflow.user
       set role = coalesce(%(role)s::text, role),
           scopes = case when %(rescope)s::boolean then %(scopes)s::text[] else scopes end,
           password = coalesce(%(password)s::text, password)
     where name = %(name)s::text
    returning id, name, role, scopes, password, created_at, created_by
), ended as (
    delete from pgflow.session where %(password)s::text is not null and user_id = any(array(select id from changed))
)
select id, name, role, scopes, password is not null, created_at, created_by from changed
