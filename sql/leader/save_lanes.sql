-- Guarantees: safe positions only grow.
-- Index: lane_pkey.
insert into pgflow.lane as l (queue, priority, safe)
select * from unnest(%(queues)s::text[], %(priorities)s::smallint[], %(safes)s::bigint[])
on conflict (queue, priority) do update set safe = excluded.safe where excluded.safe > l.safe
