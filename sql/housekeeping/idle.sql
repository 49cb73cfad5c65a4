-- Guarantees: idle rows that nobody will ever consume are gone.
-- Index: none, because the table holds a row an idle worker.
delete from pgflow.idle where ctid = any(array(
    select ctid from pgflow.idle where until < clock_timestamp() - interval '1 minute' limit 1000 for update skip locked))
