-- Guarantees: this session is over. Returns whose it was.
-- Index: session_pkey.
delete from pgflow.session where hash = %(hash)s::bytea returning user_id
