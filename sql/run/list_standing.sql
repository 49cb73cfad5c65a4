-- Guarantees: of the next `window` tasks in the places of this state, which is none of the final ones, those runs that
-- fit every filter given (null: not given), newest first. So a page costs the same however rare what is asked for is, and
-- a full page no more than itself. Each row and the last, which is a row of its own without an id, has where the window
-- ends: null, when there is nothing beyond, or when the page is full.
-- Places of other states are not begun. So the order is that of one branch, and a subquery that has a limit is looked up
-- by a nested loop, which keeps it. The reason is given as a range, so that no plan can follow the primary key past others.
-- Index: the primary keys of the places, delayed_reason, task_pkey.
with place as materialized (
    (select task_id, root_id, 'queued'::pgflow.state as state, attempt, crashes, null::timestamptz as due_at,
            null::timestamptz as claimed_at
       from pgflow.ready
      where %(state)s::pgflow.state = 'queued' and task_id < %(before)s::bigint and task_id >= %(lowest)s::bigint
      order by task_id desc limit %(window)s::integer)
    union all
    (select task_id, root_id, 'running', attempt, (crashes - 1)::smallint, null, claimed_at
       from pgflow.lease
      where %(state)s::pgflow.state = 'running' and task_id < %(before)s::bigint and task_id >= %(lowest)s::bigint
      order by task_id desc limit %(window)s::integer)
    union all
    (select task_id, root_id, reason, attempt, crashes, due_at, null
       from pgflow.delayed
      where %(state)s::pgflow.state in ('scheduled', 'retrying', 'sleeping')
        and reason >= %(state)s::pgflow.state and reason <= %(state)s::pgflow.state
        and task_id < %(before)s::bigint and task_id >= %(lowest)s::bigint
      order by reason desc, task_id desc limit %(window)s::integer)
    union all
    (select task_id, root_id, case when needed > arrived then 'waiting' end::pgflow.state, attempt, crashes, wake_at, null
       from pgflow.inbox
      where %(state)s::pgflow.state = 'waiting' and task_id < %(before)s::bigint and task_id >= %(lowest)s::bigint
      order by task_id desc limit %(window)s::integer)
    union all
    (select task_id, root_id, 'throttled', attempt, crashes, null, null
       from pgflow.throttled
      where %(state)s::pgflow.state = 'throttled' and task_id < %(before)s::bigint and task_id >= %(lowest)s::bigint
      order by task_id desc limit %(window)s::integer)
    union all
    (select task_id, root_id, reason, attempt, crashes, null, null
       from pgflow.parked
      where %(state)s::pgflow.state in ('paused', 'needs_attention')
        and task_id < %(before)s::bigint and task_id >= %(lowest)s::bigint
      order by task_id desc limit %(window)s::integer)
), found as materialized (
    select t.id, t.name, t.queue, (array['critical', 'high', 'normal', 'low'])[t.priority + 1] as priority, p.state::text,
           p.attempt, p.crashes, t.key, t.tags, t.actor, t.created_at, coalesce(p.due_at, t.due_at) as due_at,
           p.claimed_at, null::timestamptz as finished_at
      from (select p.* from place p where p.root_id = p.task_id and p.state = %(state)s::pgflow.state) p
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
