-- Guarantees: what is stored of these secrets, sealed; of one that is not there no row.
-- Index: secret_pkey.
select s.name, s.sealed, s.key_id
  from unnest(%(names)s::text[]) as asked(name)
 cross join lateral (select name, sealed, key_id from pgflow.secret where name = asked.name offset 0) s
