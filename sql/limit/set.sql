-- Guarantees: the queue is limited as given (null: not in that way) from the next admission on. Its virtual time and
-- what its rate has spent are kept.
-- Index: limit_pkey.
insert into pgflow.limit as l (queue, concurrency, rate, burst, slot_concurrency, slot_rate, slot_burst, set_at, set_by)
values (%(queue)s::text, %(concurrency)s::integer, %(rate)s::float8, %(burst)s::float8, %(slot_concurrency)s::integer,
        %(slot_rate)s::float8, %(slot_burst)s::float8, pgflow.now(), %(actor)s::text)
on conflict (queue) do update set
    concurrency = excluded.concurrency, rate = excluded.rate, burst = excluded.burst,
    slot_concurrency = excluded.slot_concurrency, slot_rate = excluded.slot_rate, slot_burst = excluded.slot_burst,
    open_at = null, set_at = excluded.set_at, set_by = excluded.set_by
