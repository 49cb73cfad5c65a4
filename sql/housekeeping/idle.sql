-- Guarantees: up to `limit` idle rows that nobody will ever consume are gone. Returns how many.
-- Index: none, because the table holds a row an idle worker.
with gone as (
    delete from pgflow.idle where ctid = any(array(
        select ctid from pgflow.idle where until < clock_timestamp() - interval '1 minute'
         limit %(limit)s::integer for update skip locked))
    returning 1
)
select count(*) from gone
