-- Guarantees: what happened is never rewritten. An update that changes nothing passes: that is how `record` reads a
-- step that another transaction is just committing.
-- Index: none, because it looks at the row in hand.
create or replace function pgflow.event_is_final() returns trigger
language plpgsql
as $$
begin
    if new is distinct from old then
        raise exception 'event % is final', old.id using errcode = 'PF002';
    end if;
    return new;
end
$$;

create or replace trigger event_is_final before update on pgflow.event
    for each row execute function pgflow.event_is_final();
