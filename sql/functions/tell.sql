-- Guarantees: whoever asked for it is told of every event that is inserted.
-- Index: subscription_pkey; subscriptions are few.
create or replace function pgflow.tell() returns trigger
language plpgsql
as $$
begin
    if exists (select from pgflow.subscription s where s.disabled_at is null) then
        perform pgflow.deliver(array(select row(f.*)::pgflow.event from fresh f));
    end if;
    return null;
end
$$;

create or replace trigger event_is_told after insert on pgflow.event
    referencing new table as fresh for each statement execute function pgflow.tell();
