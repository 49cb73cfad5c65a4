-- Guarantees: whoever rests on events is woken when some are committed; a burst wakes each once, because its row is
-- consumed. In a transaction that keeps its snapshot the row stays: to delete what somebody else has just deleted would
-- be an error there.
-- Index: idle_queue, only what still stands (see pgflow.wake).
create or replace function pgflow.rouse() returns integer
language plpgsql
set enable_seqscan = off
as $$
declare
    roused integer;
begin
    if current_setting('transaction_isolation') = 'read committed' then
        with gone as (
            delete from pgflow.idle i where i.ctid = any(array(
                select c.ctid from pgflow.idle c
                 where c.queue = '@events' and c.until > statement_timestamp()
                 order by c.until desc limit 100 for update skip locked))
            returning i.channel
        )
        select count(*) into roused from (select pg_notify(g.channel, '') from gone g) n;
    else
        select count(*) into roused from (
            select pg_notify(c.channel, '') from pgflow.idle c
             where c.queue = '@events' and c.until > statement_timestamp() limit 100) n;
    end if;
    return roused;
end
$$;

-- Guarantees: called once for each statement that adds events, while anybody may wait for them (pgflow.attention).
-- Whoever rests on events is woken, and whoever asked to be told of them is (pgflow.deliver); but not of what a run has
-- from another, which is written in one statement with its `workflow.forked`: it was told of when it happened.
-- Index: idle_queue, subscription_enabled.
create or replace function pgflow.tell() returns trigger
language plpgsql
as $$
declare
    rested_on boolean;
    subscribed_to boolean;
    told pgflow.event[];
begin
    select exists (select from pgflow.idle i where i.queue = '@events' and i.until > statement_timestamp()),
           exists (select from pgflow.subscription s where s.disabled_at is null)
      into rested_on, subscribed_to;
    if rested_on then
        perform pgflow.rouse();
    end if;
    if subscribed_to then
        told := array(
            select row(f.*)::pgflow.event from fresh f where f.type = any(array(
                select k from pgflow.subscription s cross join unnest(s.kinds) k where s.disabled_at is null))
               and (f.type = 'workflow.forked' or f.task_id <> all(array(
                select g.task_id from fresh g where g.type = 'workflow.forked'))));
        if cardinality(told) > 0 then
            perform pgflow.deliver(told);
        end if;
    end if;
    return null;
end
$$;

create or replace trigger event_is_told after insert on pgflow.event
    referencing new table as fresh for each statement
    when (pg_sequence_last_value('pgflow.attention') = 2) execute function pgflow.tell();
