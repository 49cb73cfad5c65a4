-- Guarantees: of the next `window` tasks those that fit every filter given (null: not given), and whose run has a name
-- like one of these, or a queue like one of these; newest first. So a page costs the same however rare what is asked for
-- is. Each row and the last, which is a row of its own without a name, has where it is; that one where the window ends:
-- null, when there is nothing beyond.
-- Index: task_pkey, which leads with the run: one descent a run, however many children lie between; task_child.
with recursive run as (
    (select t.root_id as id, 1 as nth from pgflow.task t
      where t.root_id < %(before)s::bigint order by t.root_id desc limit 1)
    union all
    select (select t.root_id from pgflow.task t where t.root_id < run.id order by t.root_id desc limit 1), run.nth + 1
      from run where run.id is not null and run.nth < %(window)s::integer
), candidate as materialized (
    select c.id, c.root_id
      from ((select r.id, r.id as root_id from run r where r.id is not null)
            union all
            (select t.id, t.root_id from pgflow.task t
              where not %(roots_only)s::boolean and t.parent_id is not null and t.id < %(before)s::bigint
              order by t.id desc limit %(window)s::integer)) c
     order by c.id desc limit %(window)s::integer
), found as (
    select t.id, t.root_id, t.parent_id, t.name, t.queue,
           (array['critical', 'high', 'normal', 'low'])[t.priority + 1] as priority, p.state::text, p.attempt, p.crashes,
           t.key, t.tags, t.created_at, coalesce(p.due_at, t.due_at) as due_at, p.claimed_at, p.worker_id,
           (select w.lease_until from pgflow.worker w where w.id = p.worker_id) as lease_expires_at, p.finished_at
      from candidate c
     cross join lateral (
           select * from pgflow.task t where t.root_id = c.root_id and t.id = c.id
              and (%(name)s::text is null or t.name = %(name)s::text)
              and (%(queue)s::text is null or t.queue = %(queue)s::text) limit 1) t
     cross join lateral (
           select * from pgflow.place p where p.root_id = c.root_id and p.task_id = c.id limit 1) p
     where (%(state)s::pgflow.state is null or p.state = %(state)s::pgflow.state)
       and (%(names)s::text[] is null or (
               select r.name like any(%(names)s::text[]) or r.queue like any(%(queues)s::text[])
                 from pgflow.task r where r.root_id = c.root_id and r.id = c.root_id))
     order by c.id desc limit %(limit)s::integer
)
(select * from found order by id desc)
union all
select (select min(id) from candidate having count(*) = %(window)s::integer), null, null, null, null, null, null, null, null,
       null, null, null, null, null, null, null, null
