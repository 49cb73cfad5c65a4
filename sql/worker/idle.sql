-- Guarantees: for `rest` seconds, whoever next makes a task ready in one of these queues sees that this channel wants
-- to be woken. Older
-- rows of the channel go, except one that a transaction is just consuming: nobody waits.
-- Index: idle_queue.
with gone as (
    delete from pgflow.idle where ctid = any(array(
        select ctid from pgflow.idle
         where queue = any(%(queues)s::text[]) and until > clock_timestamp()
           and channel = %(channel)s::text for update skip locked))
)
insert into pgflow.idle (queue, until, channel)
select unnest(%(queues)s::text[]), clock_timestamp() + %(rest)s::float8 * interval '1 s', %(channel)s::text
