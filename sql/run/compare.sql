-- Guarantees: what differs between what two runs have recorded: steps, waits and children, by key: those that differ in
-- state, result, error or attempts, or that only one has; at most `limit`, with how many there are in all. Results of
-- more than `size` bytes are not given: only that they differ. What differs by nature, such as the time, is passed over.
-- Index: event_step, event_try, event_pkey, task_step, outcome_pkey.
with recorded as materialized (
    select s.side, s.root_id, e.key, 'completed' as state, e.attempt::integer as attempt,
           (e.data->>'seconds')::float8 as seconds, e.id as event_id, null::bigint as child_id
      from unnest(%(roots)s::bigint[], %(tasks)s::bigint[]) with ordinality as s(root_id, task_id, side)
     cross join lateral (
           select * from pgflow.event e
            where e.root_id = s.root_id and e.task_id = s.task_id and e.type = 'step.completed' offset 0) e
     where e.key !~ '^\$(definition|kept|stopped|dropped)$' and e.key !~ '(^|/)\$(now|random|uuid|asked)'
    union all
    select s.side, s.root_id, e.key, 'failed', e.attempt, null, e.id, null
      from unnest(%(roots)s::bigint[], %(tasks)s::bigint[]) with ordinality as s(root_id, task_id, side)
     cross join lateral (
           select * from pgflow.event e
            where e.root_id = s.root_id and e.task_id = s.task_id and e.type in ('step.retried', 'step.failed')
           offset 0) e
     where e.type = 'step.failed' and not exists (
           select from pgflow.event d
            where d.root_id = e.root_id and d.task_id = e.task_id and d.key = e.key and d.type = 'step.completed')
    union all
    select s.side, s.root_id, t.step, coalesce(o.state::text, 'unfinished'), o.attempt,
           extract(epoch from o.finished_at - t.created_at), null, t.id
      from unnest(%(roots)s::bigint[], %(tasks)s::bigint[]) with ordinality as s(root_id, task_id, side)
     cross join lateral (
           select * from pgflow.task t where t.root_id = s.root_id and t.parent_id = s.task_id offset 0) t
      left join lateral (
           select * from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id offset 0) o on true
), valued as (
    select b.*, coalesce(e.data - '{started_at,seconds,signal,emission,error,due_at}'::text[],
                         jsonb_build_object('result', o.output)) as output,
           coalesce(e.data->'error', o.error) - '{traceback,task_id}'::text[] as error
      from recorded b
      left join lateral (
           select e.data from pgflow.event e where e.root_id = b.root_id and e.id = b.event_id offset 0) e on true
      left join lateral (
           select o.output, o.error from pgflow.outcome o
            where o.root_id = b.root_id and o.task_id = b.child_id offset 0) o on true
), differing as materialized (
    select coalesce(a.key, b.key) as key, a.state as old_state, b.state as new_state, a.attempt as old_attempt,
           b.attempt as new_attempt, a.seconds as old_seconds, b.seconds as new_seconds,
           a.output is distinct from b.output as changed,
           coalesce(pg_column_size(a.output), 0) + coalesce(pg_column_size(b.output), 0) <= %(size)s::integer as fits,
           a.output as old_output, b.output as new_output, a.error as old_error, b.error as new_error
      from (select * from valued where side = 1) a full join (select * from valued where side = 2) b on b.key = a.key
     where (a.state, a.attempt, a.output, a.error) is distinct from (b.state, b.attempt, b.output, b.error)
)
select d.key, d.old_state, d.new_state, d.old_attempt, d.new_attempt, d.old_seconds, d.new_seconds, d.changed, d.fits,
       case when d.changed and d.fits then d.old_output end, case when d.changed and d.fits then d.new_output end,
       d.old_error, d.new_error, (select count(*) from differing)
  from differing d order by d.key limit %(limit)s::integer
