-- Guarantees: the queues in which something may be admitted that no statement has admitted by itself: what was
-- throttled by a timer or in a caller's transaction, and what a rate had held until now.
-- Index: newcomer_queue, turn_open; limits are few.
select queue from pgflow.newcomer
union
select queue from pgflow.turn where open_at <= (select pgflow.now())
union
select queue from pgflow.limit where open_at <= (select pgflow.now())
