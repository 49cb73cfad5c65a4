-- Guarantees: others can see that the leader of this term was alive just now.
-- Index: leader_pkey.
update pgflow.leader set seen_at = pgflow.now() where one and term = %(term)s::bigint
