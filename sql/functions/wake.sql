-- Guarantees: at most one idle worker of each queue is woken, at commit; a burst wakes it once, because its row is
-- consumed. In a caller's own transaction (consume = false) the row stays: a long transaction must neither hide the
-- worker from others nor fail to serialize. Losing a wake-up costs a worker its safety poll, never a task.
-- Index: idle_queue, newest first and only those that still stand, so that dead rows stay unread: which the index can
-- only tell by an instant that does not move.
create or replace function pgflow.wake(queues text[], consume boolean default true) returns integer
language plpgsql
set enable_seqscan = off
as $$
declare
    name text;
    channel text;
    woken integer := 0;
begin
    if queues is null then
        return 0;
    end if;
    foreach name in array queues loop
        if consume then
            delete from pgflow.idle i where i.ctid = any(array(
                select c.ctid from pgflow.idle c
                 where c.queue = name and c.until > statement_timestamp()
                 order by c.until desc limit 1 for update skip locked))
            returning i.channel into channel;
        else
            select c.channel into channel from pgflow.idle c
             where c.queue = name and c.until > statement_timestamp()
             order by c.until desc limit 1;
        end if;
        if channel is not null then
            perform pg_notify(channel, '');
            woken := woken + 1;
        end if;
    end loop;
    return woken;
end
$$;

-- Guarantees: a leader that sleeps past `due` is woken; its idle row carries the instant it means to sleep until.
-- Index: idle_queue.
create or replace function pgflow.wake_leader(due timestamptz, consume boolean default true) returns integer
language plpgsql
as $$
begin
    if due is null or due > pgflow.now() + interval '10 s' then
        return 0;
    end if;
    return pgflow.wake(array['@leader'], consume);
end
$$;
