-- Guarantees: the draft of a workflow.
-- Index: draft_pkey.
select r.name, r.document, r.revision, r.base, r.created_at, r.changed_at, r.actor from pgflow.draft r
 where r.name = %(name)s::text
