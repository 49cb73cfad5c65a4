-- Guarantees: every limit with what it holds back and what it counts now.
-- Index: limit_pkey, throttled_turn, ready_slot, lease_slot.
select l.queue, l.concurrency, l.rate, l.burst, l.slot_concurrency, l.slot_rate, l.slot_burst,
       (select count(*) from pgflow.throttled t where t.queue = l.queue),
       (select count(*) from pgflow.ready r where r.queue = l.queue and r.slot is not null),
       (select count(*) from pgflow.lease x where x.queue = l.queue and x.slot is not null),
       l.open_at, l.set_at, l.set_by
  from pgflow.limit l order by l.queue
