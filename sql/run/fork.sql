-- Guarantees: a new run like the task given, with this input, whose history holds copies of these events and children of
-- it, all of which are final, and these facts of its own; and which names where it comes from. Children are copied as
-- tasks that have their outcome. What is told of nodes says from which run they are kept, and since when. What follows a
-- generation's prefix in a key is the key in the new run. Returns its id.
--
-- Events and children are numbered apart, so it is their instants that tell in which order they came, to a fork of this
-- fork, too: copies are a microsecond apart, the last one at the fork's own instant. Signals keep theirs. What is written
-- together with `workflow.forked` is not delivered to subscriptions (pgflow.tell).
-- Index: task_pkey, event_pkey, outcome_pkey; the rest are inserts.
with source as materialized (
    select t.*, n.new_id, n.now
      from (select nextval('pgflow.task_id_seq') as new_id, pgflow.now() as now offset 0) n cross join lateral (
           select * from pgflow.task where root_id = %(root)s::bigint and id = %(task)s::bigint offset 0) t
), written as (
    insert into pgflow.task (id, root_id, name, queue, priority, input, size, created_at, timeout, retry, slot, tags,
                             actor)
    select s.new_id, s.new_id, s.name, s.queue, s.priority, %(input)s::jsonb, %(size)s::integer, s.now, s.timeout,
           s.retry, s.slot, s.tags, %(actor)s::text
      from source s
    returning id
), forked as (
    insert into pgflow.event (root_id, task_id, type, at, actor, data)
    select s.new_id, s.new_id, 'workflow.forked', s.now, %(actor)s::text, %(data)s::jsonb from source s
), placed as materialized (
    select m.event, m.child, m.ord,
           s.now - (count(*) over () - row_number() over (order by m.at, m.ord, m.child)) * interval '1 us' as at
      from source s cross join lateral (
           select a.id as event, null::bigint as child, a.ord, e.at
             from unnest(%(events)s::bigint[]) with ordinality as a(id, ord) cross join lateral (
                  select at from pgflow.event where root_id = s.root_id and id = a.id offset 0) e
           union all
           select null, a.id, null, t.created_at
             from unnest(%(children)s::bigint[]) as a(id) cross join lateral (
                  select created_at from pgflow.task where root_id = s.root_id and id = a.id offset 0) t) m
), copied as (
    insert into pgflow.event (root_id, task_id, type, attempt, at, key, data)
    select s.new_id, s.new_id, e.type, e.attempt, case e.type when 'signal.received' then e.at else p.at end,
           case e.type when 'signal.received' then e.key else substr(e.key, length(%(prefix)s::text) + 1) end,
           case when e.type::text like 'node.%%' then jsonb_build_object('kept', s.id, 'at', e.at) || e.data
                else e.data end
      from source s cross join placed p cross join lateral (
           select * from pgflow.event where root_id = s.root_id and id = p.event offset 0) e
     order by p.ord
), known as (
    insert into pgflow.event (root_id, task_id, type, attempt, at, key, data)
    select s.new_id, s.new_id, 'step.completed', 1, s.now, k.key, k.data
      from source s cross join rows from (unnest(%(keys)s::text[]), jsonb_array_elements(%(facts)s::jsonb))
           as k(key, data)
), child as materialized (
    select nextval('pgflow.task_id_seq') as new_child, s.new_id, s.now, a.at, t.*
      from source s cross join (select child, at from placed where child is not null order by child) a
     cross join lateral (
           select * from pgflow.task where root_id = s.root_id and id = a.child offset 0) t
), spawned as (
    insert into pgflow.task (id, root_id, parent_id, step, name, queue, priority, input, size, created_at, timeout,
                             retry, slot, tags, actor)
    select c.new_child, c.new_id, c.new_id, substr(c.step, length(%(prefix)s::text) + 1), c.name, c.queue, c.priority,
           c.input, c.size, c.at, c.timeout, c.retry, c.slot, c.tags, %(actor)s::text
      from child c
), ended as (
    insert into pgflow.outcome (root_id, task_id, parent_id, state, attempt, output, error, finished_at)
    select c.new_id, c.new_child, c.new_id, o.state, o.attempt, o.output, o.error, c.at
      from child c cross join lateral (
           select * from pgflow.outcome where root_id = c.root_id and task_id = c.id offset 0) o
), told as (
    insert into pgflow.event (root_id, task_id, type, at, actor, data)
    select c.new_id, c.new_child, 'workflow.forked', c.now, %(actor)s::text, jsonb_build_object('from', c.id)
      from child c order by c.new_child
)
select w.id, pgflow.make_ready(array[w.id], array[w.id], array[1::smallint], array[0::smallint]) from written w
