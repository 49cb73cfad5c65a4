-- Guarantees: up to `limit` events of this name (and key, if one is given) past the given place, oldest first, without
-- those that were taken before, and none from after `until`.
-- Index: emission_key or emission_name.
select e.id, e.name, e.key, e.payload, e.given_id, e.at, e.task_id, e.actor
  from (select a.* from (
            select * from pgflow.emission
             where name = %(name)s::text and key = %(key)s::text
               and (at, id) > (%(after_at)s::timestamptz, %(after)s::bigint)
               and at <= coalesce(%(until)s::timestamptz, 'infinity')
               and id not in (select unnest(%(taken)s::bigint[]))
             order by at, id limit %(limit)s::integer) a
        union all
        select b.* from (
            select * from pgflow.emission
             where %(key)s::text is null and name = %(name)s::text
               and (at, id) > (%(after_at)s::timestamptz, %(after)s::bigint)
               and at <= coalesce(%(until)s::timestamptz, 'infinity')
               and id not in (select unnest(%(taken)s::bigint[]))
             order by at, id limit %(limit)s::integer) b) e
 order by e.at, e.id limit %(limit)s::integer
