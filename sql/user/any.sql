-- Guarantees: whether anybody could get in: there is a user, or a token that is good.
-- Index: user_pkey, token_pkey.
select exists (select from pgflow.user)
       or exists (select from pgflow.token
                   where revoked_at is null and (expires_at is null or expires_at > pgflow.now()))
