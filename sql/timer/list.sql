-- Guarantees: what becomes ready at some time, the soonest first, past a position; of those that fit every filter given
-- (null: not given). Sent with its values as literals, so that the planner drops the conditions that do not matter; and
-- each task is looked up by itself, so that it stops when there are enough.
-- Index: delayed_due and inbox_wake, merged; task_pkey.
select d.due_at, d.state::text, d.task_id, d.root_id, t.name, t.queue, d.attempt
  from (select due_at, reason as state, task_id, root_id, attempt from pgflow.delayed
        union all
        select wake_at, 'waiting'::pgflow.state, task_id, root_id, attempt from pgflow.inbox
         where wake_at is not null and needed > arrived) d
 cross join lateral (
       select t.name, t.queue from pgflow.task t where t.root_id = d.root_id and t.id = d.task_id offset 0) t
 where (%(within)s::float8 is null or d.due_at < pgflow.now() + %(within)s::float8 * interval '1 s')
   and (%(at)s::timestamptz is null
        or d.due_at >= %(at)s::timestamptz and (d.due_at, d.task_id) > (%(at)s::timestamptz, %(task)s::bigint))
   and (%(name)s::text is null or t.name = %(name)s::text)
   and (%(queue)s::text is null or t.queue = %(queue)s::text)
   and (%(names)s::text[] is null or (
           select r.name like any(%(names)s::text[]) or r.queue like any(%(queues)s::text[])
             from pgflow.task r where r.root_id = d.root_id and r.id = d.root_id))
 order by d.due_at, d.task_id limit %(limit)s::integer
