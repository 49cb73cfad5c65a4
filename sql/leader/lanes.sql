-- Guarantees: for every lane that an open worker claims from, the greatest floor published and the safe position.
-- Index: lane_pkey; workers are few.
select f.queue, f.priority, max(f.floor)::bigint as highest, coalesce(max(l.safe), 0)::bigint as safe
  from (select q.key as queue, (p.ordinality - 1)::smallint as priority, p.value::bigint as floor
          from pgflow.worker w
         cross join lateral jsonb_each(w.floors) q
         cross join lateral jsonb_array_elements_text(q.value) with ordinality p(value, ordinality)
         where w.closed_at is null) f
  left join pgflow.lane l on l.queue = f.queue and l.priority = f.priority
 group by f.queue, f.priority
