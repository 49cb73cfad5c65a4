-- Guarantees: up to `limit` secrets after a name, by name, sealed; only those not sealed with a key, if one is given.
-- Index: secret_pkey.
select name, sealed, key_id from pgflow.secret
 where name > %(after)s::text and (%(unless)s::text is null or key_id <> %(unless)s::text)
 order by name limit %(limit)s::integer
