-- Guarantees: a user is signed in for so many seconds; sessions that are over are removed, a few at a time.
-- Index: session_pkey, session_expires.
with over as (
    delete from pgflow.session
     where hash = any(array(select hash from pgflow.session where expires_at < pgflow.now() order by expires_at limit 100
                               for update skip locked))
)
insert into pgflow.session (hash, user_id, created_at, expires_at, address)
values (%(hash)s::bytea, %(user)s::bigint, pgflow.now(), pgflow.now() + %(lifetime)s::float8 * interval '1 second',
        %(address)s::text)
