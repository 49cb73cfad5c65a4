-- Guarantees: each of these secrets is sealed anew, if it still is as it was read: one that was set, removed or resealed
-- meanwhile is left alone. What it holds is the same, so neither its version nor its instants change. Returns those done.
-- Locks: secrets by name.
-- Index: secret_pkey.
with asked as materialized (
    select s.tid, a.sealed, a.key_id
      from (select * from unnest(%(names)s::text[], %(was)s::bytea[], %(sealed)s::bytea[], %(key_ids)s::text[])
                     as a(name, was, sealed, key_id) order by a.name) a
     cross join lateral (
           select s.ctid as tid from pgflow.secret s where s.name = a.name and s.sealed = a.was for update) s
)
update pgflow.secret s set sealed = a.sealed, key_id = a.key_id from asked a where s.ctid = a.tid returning s.name
