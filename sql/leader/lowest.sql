-- Guarantees: for each of these lanes, in the order given, the lowest seq still visible between its two positions, or
-- null. A plain read: a row that is locked just now may come back, so it counts.
-- Index: ready_lane.
select c.seq
  from unnest(%(queues)s::text[], %(priorities)s::smallint[], %(lows)s::bigint[], %(highs)s::bigint[])
       with ordinality as lane(queue, priority, low, high, ord)
  left join lateral (
       select seq from pgflow.ready
        where queue = lane.queue and priority = lane.priority and seq >= lane.low and seq < lane.high
        order by seq limit 1) c on true
 order by lane.ord
