-- Guarantees: tasks of a run that fit every filter given (null: not given), newest first. Sent with its values as
-- literals, so that the planner drops the branches and conditions that do not matter.
-- Index: the primary keys of the places and of task, which lead with the run.
select id, root_id, parent_id, name, queue, priority, state::text, attempt, crashes, key, tags, created_at, due_at,
       claimed_at, worker_id, lease_expires_at, finished_at
  from pgflow.task_state
 where root_id = %(run)s::bigint
   and (not %(roots_only)s::boolean or parent_id is null)
   and (%(state)s::pgflow.state is null or state = %(state)s::pgflow.state)
   and (%(name)s::text is null or name = %(name)s::text)
   and (%(queue)s::text is null or queue = %(queue)s::text)
   and (%(before)s::bigint is null or id < %(before)s::bigint)
 order by id desc limit %(limit)s::integer
