-- Guarantees: another idle worker of each of these queues is woken; a worker that filled up has seen there is more.
-- Index: idle_queue (in pgflow.wake).
select pgflow.wake(%(queues)s::text[])
