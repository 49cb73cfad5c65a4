-- Guarantees: of the next `window` runs of this name, those that fit every filter given (null: not given), newest
-- first. So a page costs the same however rare what is asked for is, and a full page no more than itself. Each row and
-- the last, which is a row of its own without an id, has where the window ends: null, when there is nothing beyond, or
-- when the page is full.
-- Index: task_run; of what fits, the primary keys of the places.
with edge as not materialized (
    select t.id from pgflow.task t
     where t.name = %(workflow)s::text and t.parent_id is null
       and t.id < %(before)s::bigint and t.id >= %(lowest)s::bigint
     order by t.id desc offset %(window)s::integer - 1 limit 1
), found as materialized (
    select t.id, t.name, t.queue, (array['critical', 'high', 'normal', 'low'])[t.priority + 1] as priority, p.state::text,
           p.attempt, p.crashes, t.key, t.tags, t.actor, t.created_at, coalesce(p.due_at, t.due_at) as due_at,
           p.claimed_at, p.finished_at
      from (select t.* from pgflow.task t
             where t.name = %(workflow)s::text and t.parent_id is null
               and t.id < %(before)s::bigint and t.id >= %(lowest)s::bigint
             order by t.id desc limit %(window)s::integer) t
     cross join lateral (
           select * from pgflow.place p where p.root_id = t.root_id and p.task_id = t.id
              and (%(state)s::pgflow.state is null or p.state = %(state)s::pgflow.state) limit 1) p
     where (%(queue)s::text is null or t.queue = %(queue)s::text)
       and (%(key)s::text is null or t.key = %(key)s::text)
       and (%(tags)s::jsonb is null or t.tags @> %(tags)s::jsonb)
       and (%(since)s::timestamptz is null or t.created_at >= %(since)s::timestamptz)
       and (%(until)s::timestamptz is null or t.created_at < %(until)s::timestamptz)
       and (%(names)s::text[] is null or t.name like any(%(names)s::text[]) or t.queue like any(%(queues)s::text[]))
     order by t.id desc limit %(limit)s::integer
)
(select f.*, null::bigint from found f order by f.id desc)
union all
select null, null, null, null, null, null, null, null, null, null, null, null, null, null,
       case when (select count(*) from found) < %(limit)s::integer then (select id from edge) end
