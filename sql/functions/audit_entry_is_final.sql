-- Guarantees: what was done stays on record: an entry is neither changed nor removed, by anybody.
-- Index: none, because it looks at the row in hand.
create or replace function pgflow.audit_entry_is_final() returns trigger
language plpgsql
as $$
begin
    raise exception 'audit entry % is final', old.id using errcode = 'PF003';
end
$$;

create or replace trigger audit_entry_is_final before update or delete on pgflow.audit_entry
    for each row execute function pgflow.audit_entry_is_final();
