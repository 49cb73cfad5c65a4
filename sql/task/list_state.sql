-- Guarantees: as task/list_newest, of the next `window` tasks of a state that is not the one of those that completed.
-- Sent with its values as literals, so that the planner drops the branches that do not matter.
-- Index: the primary keys of the places; outcome's partial indexes by state; task_pkey.
with candidate as materialized (
    select p.* from pgflow.place p
     where p.state = %(state)s::pgflow.state and p.task_id < %(before)s::bigint
     order by p.task_id desc limit %(window)s::integer
), found as (
    select t.id, t.root_id, t.parent_id, t.name, t.queue,
           (array['critical', 'high', 'normal', 'low'])[t.priority + 1] as priority, p.state::text, p.attempt, p.crashes,
           t.key, t.tags, t.created_at, coalesce(p.due_at, t.due_at) as due_at, p.claimed_at, p.worker_id,
           (select w.lease_until from pgflow.worker w where w.id = p.worker_id) as lease_expires_at, p.finished_at
      from candidate p
     cross join lateral (
           select * from pgflow.task t where t.root_id = p.root_id and t.id = p.task_id
              and (%(name)s::text is null or t.name = %(name)s::text)
              and (%(queue)s::text is null or t.queue = %(queue)s::text) limit 1) t
     where (not %(roots_only)s::boolean or p.task_id = p.root_id)
       and (%(names)s::text[] is null or (
               select r.name like any(%(names)s::text[]) or r.queue like any(%(queues)s::text[])
                 from pgflow.task r where r.root_id = p.root_id and r.id = p.root_id))
     order by p.task_id desc limit %(limit)s::integer
)
(select * from found order by id desc)
union all
select (select min(task_id) from candidate having count(*) = %(window)s::integer), null, null, null, null, null, null, null,
       null, null, null, null, null, null, null, null, null
