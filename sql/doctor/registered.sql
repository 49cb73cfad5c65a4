-- Guarantees: for each worker that is alive, the queues it serves and the tasks it has code for.
-- Index: none, because workers are few.
select w.queues, w.tasks from pgflow.worker w
 where w.closed_at is null and w.lease_until >= (select pgflow.now())
