-- Guarantees: of the next `window` tasks that have failed, were cancelled or were skipped, those runs that fit every
-- filter given (null: not given), newest first. So a page costs the same however rare what is asked for is, and a full
-- page no more than itself. Each row and the last, which is a row of its own without an id, has where the window ends:
-- null, when there is nothing beyond, or when the page is full.
-- Each state has an index of its own, which a plan finds only where it stands as a constant; the other branches are not
-- begun. So the order is that of one branch, and a subquery that has a limit is looked up by a nested loop, which keeps it.
-- Index: outcome_failed, outcome_cancelled, outcome_skipped, task_pkey.
with place as materialized (
    (select o.root_id, o.task_id, o.state, o.attempt, o.finished_at from pgflow.outcome o
      where o.state = 'failed' and %(state)s::pgflow.state = 'failed'
        and o.task_id < %(before)s::bigint and o.task_id >= %(lowest)s::bigint
      order by o.task_id desc limit %(window)s::integer)
    union all
    (select o.root_id, o.task_id, o.state, o.attempt, o.finished_at from pgflow.outcome o
      where o.state = 'cancelled' and %(state)s::pgflow.state = 'cancelled'
        and o.task_id < %(before)s::bigint and o.task_id >= %(lowest)s::bigint
      order by o.task_id desc limit %(window)s::integer)
    union all
    (select o.root_id, o.task_id, o.state, o.attempt, o.finished_at from pgflow.outcome o
      where o.state = 'skipped' and %(state)s::pgflow.state = 'skipped'
        and o.task_id < %(before)s::bigint and o.task_id >= %(lowest)s::bigint
      order by o.task_id desc limit %(window)s::integer)
), found as materialized (
    select t.id, t.name, t.queue, (array['critical', 'high', 'normal', 'low'])[t.priority + 1] as priority, p.state::text,
           p.attempt, null::integer as crashes, t.key, t.tags, t.actor, t.created_at, t.due_at,
           null::timestamptz as claimed_at, p.finished_at
      from (select p.* from place p where p.root_id = p.task_id) p
     cross join lateral (
           select * from pgflow.task t where t.root_id = p.root_id and t.id = p.task_id
              and (%(workflow)s::text is null or t.name = %(workflow)s::text)
              and (%(queue)s::text is null or t.queue = %(queue)s::text)
              and (%(key)s::text is null or t.key = %(key)s::text)
              and (%(tags)s::jsonb is null or t.tags @> %(tags)s::jsonb)
              and (%(since)s::timestamptz is null or t.created_at >= %(since)s::timestamptz)
              and (%(until)s::timestamptz is null or t.created_at < %(until)s::timestamptz)
              and (%(names)s::text[] is null
                   or t.name like any(%(names)s::text[]) or t.queue like any(%(queues)s::text[])) limit 1) t
     limit %(limit)s::integer
)
(select f.*, null::bigint from found f order by f.id desc)
union all
select null, null, null, null, null, null, null, null, null, null, null, null, null, null,
       case when (select count(*) from found) < %(limit)s::integer
            then (select p.task_id from place p offset %(window)s::integer - 1 limit 1) end
