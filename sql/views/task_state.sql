-- Guarantees: every task once, with what was asked for and where it is now; the public way to look at the engine.
-- `place` is a bare union, each branch with its state as a constant, and task is joined once outside it: so a filter on
-- state or id reaches the branches, and the newest rows of a state are read from an index, not sorted.
-- Index: the primary key of each place, outcome's partial indexes by state, task_pkey.
create or replace view pgflow.place as
    select task_id, root_id, 'queued'::pgflow.state as state, attempt, crashes, null::timestamptz as due_at,
           null::bigint as worker_id, null::timestamptz as claimed_at, null::timestamptz as finished_at
      from pgflow.ready
    union all
    select task_id, root_id, 'running'::pgflow.state, attempt, (crashes - 1)::smallint, null, worker_id, claimed_at, null
      from pgflow.lease  -- which counts the crash that it would be if nothing more were heard
    union all
    select task_id, root_id, reason, attempt, crashes, due_at, null, null, null from pgflow.delayed
    union all
    select task_id, root_id, 'waiting'::pgflow.state, attempt, crashes, wake_at, null, null, null
      from pgflow.inbox where needed > arrived
    union all
    select task_id, root_id, 'throttled'::pgflow.state, attempt, crashes, null, null, null, null from pgflow.throttled
    union all
    select task_id, root_id, reason, attempt, crashes, null, null, null, null from pgflow.parked
    union all
    select task_id, root_id, state, attempt, null, null, null, null, finished_at from pgflow.outcome;

create or replace view pgflow.task_state as
    select p.task_id as id, p.root_id, t.parent_id, t.name, t.queue,
           (array['critical', 'high', 'normal', 'low'])[t.priority + 1] as priority,
           p.state, p.attempt, p.crashes, t.key, t.step, t.tags, t.actor, t.input, t.created_at,
           coalesce(p.due_at, t.due_at) as due_at, p.claimed_at, p.worker_id,
           (select w.lease_until from pgflow.worker w where w.id = p.worker_id) as lease_expires_at, p.finished_at
      from pgflow.place p
      join pgflow.task t on t.root_id = p.root_id and t.id = p.task_id;

create or replace view pgflow.run as
    select id, name, queue, priority, state, attempt, crashes, key, tags, actor, input, created_at, due_at,
           claimed_at, worker_id, lease_expires_at, finished_at
      from pgflow.task_state where root_id = id;
