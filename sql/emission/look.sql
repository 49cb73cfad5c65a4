-- Guarantees: for each that asks, up to `limit` events of a name (and key, if one is given) past the given place, oldest
-- first, without those that were taken before, and none from after `until`.
-- Index: emission_key; emission_name, which only `id > 0` allows.
select a.ord, e.id, e.name, e.key, e.payload, e.given_id, e.at, e.task_id, e.actor
  from rows from (
       unnest(%(names)s::text[]), unnest(%(keys)s::text[]), unnest(%(after_ats)s::timestamptz[]),
       unnest(%(afters)s::bigint[]), unnest(%(untils)s::timestamptz[]), jsonb_array_elements(%(taken)s::jsonb),
       unnest(%(limits)s::integer[])) with ordinality
       as a(name, key, after_at, after, until, taken, most, ord)
 cross join lateral (
       select b.* from (
           select * from pgflow.emission
            where name = a.name and key = a.key and (at, id) > (a.after_at, a.after)
              and at <= coalesce(a.until, 'infinity') and not a.taken ? id::text
            order by at, id limit a.most) b
       union all
       select c.* from (
           select * from pgflow.emission
            where a.key is null and id > 0 and name = a.name and (at, id) > (a.after_at, a.after)
              and at <= coalesce(a.until, 'infinity') and not a.taken ? id::text
            order by at, id limit a.most) c) e
 order by a.ord, e.at, e.id
