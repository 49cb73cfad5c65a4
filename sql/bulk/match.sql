-- Guarantees: tasks, or runs alone, that fit every filter given (null: not given), past a position and up to another one,
-- in the order of their ids; the engine's own only if they are named. Sent with its values as literals, so that the planner drops the branches and conditions
-- that do not matter; and each task is looked up by itself, so that it stops when there are enough.
-- Index: the primary keys of the places and of task; outcome's partial indexes by state.
select p.task_id, p.root_id, t.name, t.queue, p.state::text, t.created_at
  from pgflow.place p
 cross join lateral (
       select t.name, t.queue, t.tags, t.created_at
         from pgflow.task t where t.root_id = p.root_id and t.id = p.task_id offset 0) t
 where (not %(runs)s::boolean
        or p.task_id = p.root_id and p.root_id > %(after)s::bigint and p.root_id <= %(upto)s::bigint)
   and p.state = any(%(states)s::pgflow.state[])
   and p.task_id > %(after)s::bigint and p.task_id <= %(upto)s::bigint
   and (%(ids)s::bigint[] is null or p.task_id = any(%(ids)s::bigint[]))
   and (%(name)s::text is null or t.name = %(name)s::text)
   and (%(queue)s::text is null or t.queue = %(queue)s::text)
   and (%(tags)s::jsonb is null or t.tags @> %(tags)s::jsonb)
   and (%(since)s::timestamptz is null or t.created_at >= %(since)s::timestamptz)
   and (%(until)s::timestamptz is null or t.created_at < %(until)s::timestamptz)
   and (t.name not like 'pgflow.%%' or t.name = %(name)s::text and t.name not like 'pgflow.bulk%%')
   and (%(paused)s::boolean is null
        or %(paused)s::boolean = exists (select from pgflow.paused_run r where r.root_id = p.root_id))
   and (%(names)s::text[] is null or (
           select r.name like any(%(names)s::text[]) or r.queue like any(%(queues)s::text[])
             from pgflow.task r where r.root_id = p.root_id and r.id = p.root_id))
 order by p.task_id limit %(limit)s::integer
