-- Guarantees: deliveries of one subscription, the newest event first, with where each is now and what it last met.
-- Index: task_key, for their keys begin with the subscription's id; outcome_pkey, event_pkey, the places' primary keys.
select t.id, t.root_id, t.key, t.created_at, t.input, p.state::text, p.attempt, p.due_at, p.finished_at, o.output,
       coalesce(o.error, e.error) - 'traceback'
  from pgflow.task t
  left join lateral (
       select p.state, p.attempt, p.due_at, p.finished_at from pgflow.place p
        where p.root_id = t.root_id and p.task_id = t.id limit 1) p on true
  left join lateral (
       select o.output, o.error from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id) o on true
  left join lateral (
       select e.data->'error' as error from pgflow.event e
        where e.root_id = t.root_id and e.task_id = t.id and e.type = 'task.retried' order by e.id desc limit 1) e on true
 where t.key >= %(lower)s::text and t.key < %(upper)s::text and t.name = %(task)s::text
   and (%(ids)s::bigint[] is null or t.id = any(%(ids)s::bigint[]))
   and (%(since)s::timestamptz is null or t.created_at >= %(since)s::timestamptz)
   and (%(state)s::pgflow.state is null or p.state = %(state)s::pgflow.state)
   and (%(undelivered)s::boolean is not true or coalesce(not (o.output->>'delivered')::boolean, true))
 order by t.key desc limit %(limit)s::integer
