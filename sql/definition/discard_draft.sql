-- Guarantees: the draft is gone, if it had the revision that is expected, or whichever it had when none is; else no row.
-- Index: draft_pkey.
delete from pgflow.draft r
 where r.name = %(name)s::text and r.revision = coalesce(%(expected)s::integer, r.revision)
returning r.revision
