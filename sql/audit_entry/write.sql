-- Guarantees: one more entry, which becomes visible with what the same transaction changed, or not at all.
-- Index: none, because it only inserts.
insert into pgflow.audit_entry (at, actor, address, request_id, action, target, before, after)
values (pgflow.now(), %(actor)s::text, %(address)s::text, %(request)s::text, %(action)s::text, %(target)s::text,
        %(before)s::jsonb, %(after)s::jsonb)
