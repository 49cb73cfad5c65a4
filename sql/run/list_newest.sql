-- Guarantees: of the next `window` runs, those that fit every filter given (null: not given), newest first. So a page
-- costs the same however rare what is asked for is, and a page that is full no more than itself. Each row and the last,
-- which is a row of its own without an id, has where the window ends: null, when there is nothing beyond. What is found
-- comes in the order of the steps: each is looked up by a subquery that has a limit, so only a nested loop can do it.
-- Index: task_pkey, which leads with the run: one descent a run, however many children lie between.
with recursive step as (
    (select t.root_id as id, 1 as nth from pgflow.task t
      where t.root_id < %(before)s::bigint and t.root_id >= %(lowest)s::bigint order by t.root_id desc limit 1)
    union all
    select (select t.root_id from pgflow.task t
             where t.root_id < step.id and t.root_id >= %(lowest)s::bigint order by t.root_id desc limit 1), step.nth + 1
      from step where step.id is not null and step.nth < %(window)s::integer
), found as materialized (
    select t.id, t.name, t.queue, (array['critical', 'high', 'normal', 'low'])[t.priority + 1] as priority, p.state::text,
           p.attempt, p.crashes, t.key, t.tags, t.actor, t.created_at, coalesce(p.due_at, t.due_at) as due_at,
           p.claimed_at, p.finished_at
      from (select id from step where id is not null) c
     cross join lateral (
           select * from pgflow.task t where t.root_id = c.id and t.id = c.id
              and (%(workflow)s::text is null or t.name = %(workflow)s::text)
              and (%(queue)s::text is null or t.queue = %(queue)s::text)
              and (%(key)s::text is null or t.key = %(key)s::text)
              and (%(tags)s::jsonb is null or t.tags @> %(tags)s::jsonb)
              and (%(since)s::timestamptz is null or t.created_at >= %(since)s::timestamptz)
              and (%(until)s::timestamptz is null or t.created_at < %(until)s::timestamptz)
              and (%(names)s::text[] is null
                   or t.name like any(%(names)s::text[]) or t.queue like any(%(queues)s::text[])) limit 1) t
     cross join lateral (
           select * from pgflow.place p where p.root_id = t.root_id and p.task_id = t.id
              and (%(state)s::pgflow.state is null or p.state = %(state)s::pgflow.state) limit 1) p
     limit %(limit)s::integer
)
(select f.*, null::bigint from found f order by f.id desc)
union all
select null, null, null, null, null, null, null, null, null, null, null, null, null, null,
       case when (select count(*) from found) < %(limit)s::integer
            then (select s.id from step s where s.nth = %(window)s::integer) end
