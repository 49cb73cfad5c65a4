-- Guarantees: entries that fit every filter given (null: not given), newest first.
-- Index: audit_entry_pkey, audit_entry_target, audit_entry_actor.
select id, at, actor, address, request_id, action, target, before, after
  from pgflow.audit_entry
 where (%(actor)s::text is null or actor = %(actor)s::text)
   and (%(target)s::text is null or target = %(target)s::text)
   and (%(action)s::text is null or action = %(action)s::text)
   and (%(before)s::bigint is null or id < %(before)s::bigint)
 order by id desc limit %(limit)s::integer
