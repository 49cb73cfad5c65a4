-- Guarantees: of the next `window` runs that have ended, those that fit every filter given (null: not given), the
-- last to end first. So a page costs the same however rare what is asked for is, and a full page no more than itself.
-- Each row and the last, which is a row of its own without an id, has where the window ends: null, when there is nothing
-- beyond, or when the page is full.
-- Index: outcome_finished, task_pkey.
with edge as materialized (
    select o.finished_at, o.task_id from pgflow.outcome o
     where o.parent_id is null and (o.finished_at, o.task_id) < (%(ended)s::timestamptz, %(before)s::bigint)
       and o.finished_at >= %(since)s::timestamptz
     order by o.finished_at desc, o.task_id desc offset %(window)s::integer - 1 limit 1
), found as materialized (
    select t.id, t.name, t.queue, (array['critical', 'high', 'normal', 'low'])[t.priority + 1] as priority, p.state::text,
           p.attempt, null::integer as crashes, t.key, t.tags, t.actor, t.created_at, t.due_at,
           null::timestamptz as claimed_at, p.finished_at
      from (select o.root_id, o.task_id, o.state, o.attempt, o.finished_at
              from pgflow.outcome o
             where o.parent_id is null and (o.finished_at, o.task_id) < (%(ended)s::timestamptz, %(before)s::bigint)
               and o.finished_at >= %(since)s::timestamptz
             order by o.finished_at desc, o.task_id desc limit %(window)s::integer) p
     cross join lateral (
           select * from pgflow.task t where t.root_id = p.root_id and t.id = p.task_id
              and (%(workflow)s::text is null or t.name = %(workflow)s::text)
              and (%(queue)s::text is null or t.queue = %(queue)s::text)
              and (%(key)s::text is null or t.key = %(key)s::text)
              and (%(tags)s::jsonb is null or t.tags @> %(tags)s::jsonb)
              and (%(names)s::text[] is null
                   or t.name like any(%(names)s::text[]) or t.queue like any(%(queues)s::text[])) limit 1) t
     where (%(state)s::pgflow.state is null or p.state = %(state)s::pgflow.state)
     order by p.finished_at desc, p.task_id desc limit %(limit)s::integer
)
(select f.*, null::bigint from found f order by f.finished_at desc, f.id desc)
union all
select null, null, null, null, null, null, null, null, null, null, null, null, null,
       case when (select count(*) from found) < %(limit)s::integer then (select finished_at from edge) end,
       case when (select count(*) from found) < %(limit)s::integer then (select task_id from edge) end
