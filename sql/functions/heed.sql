-- Whether anybody waits for events is asked by every statement that adds some, and is nearly always answered by no. To
-- look into tables for that would cost a task that comes alone 8% of the whole; to look at the number that a sequence
-- stands at costs 1%. pgflow.attention stands at 2 while somebody may wait. A sequence knows no transactions, which is
-- what is wanted: it is raised before who waits can be seen, and lowered only when nobody can be about to wait.
-- Guarantees: from now on every statement that adds events looks whether anybody waits for them. For whoever leaves a
-- row in pgflow.idle in the same transaction, which has to be short.
-- Index: none, because it reads no table.
create or replace function pgflow.heed() returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    select pg_advisory_xact_lock_shared(hashtext('pgflow.attention'));
    select setval('pgflow.attention', 2) where pg_sequence_last_value('pgflow.attention') is distinct from 2;
$$;

-- Guarantees: the same while there is a subscription. No lock is needed: the table's own keeps pgflow.relax away.
-- Index: none, because it reads no table.
create or replace function pgflow.heed_subscriptions() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_sequence_last_value('pgflow.attention') is distinct from 2 then
        perform setval('pgflow.attention', 2);
    end if;
    return null;
end
$$;

create or replace trigger subscriptions_are_heeded after insert or update on pgflow.subscription
    for each statement execute function pgflow.heed_subscriptions();

-- Guarantees: nobody looks any more, if nobody waits; and everybody, if somebody does, such as after a change of
-- servers that left sequences behind. Whoever is just about to wait has come before or comes after.
-- Index: idle_queue, subscription_enabled.
create or replace function pgflow.relax() returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    right_now integer := 1;
begin
    perform pg_advisory_xact_lock(hashtext('pgflow.attention'));
    lock table pgflow.subscription in share mode nowait;
    if exists (select from pgflow.idle i where i.queue = '@events' and i.until > clock_timestamp())
       or exists (select from pgflow.subscription s where s.disabled_at is null) then
        right_now := 2;
    end if;
    if pg_sequence_last_value('pgflow.attention') is distinct from right_now then
        perform setval('pgflow.attention', right_now);
    end if;
exception
    when lock_not_available then
        null;  -- subscriptions are just being changed; next time
end
$$;
