-- Guarantees: the queues whose tasks grow more urgent with time, and how many seconds each priority takes.
-- Index: none, because queues with settings are few.
select name, ageing from pgflow.queue where ageing is not null
