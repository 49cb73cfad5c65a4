-- Guarantees: the tasks of these runs, and these runs, that were cancelled since an instant and still are.
-- Index: outcome_pkey.
select o.task_id, o.root_id
  from unnest(%(runs)s::bigint[]) as a(root_id)
 cross join lateral (
       select task_id, root_id from pgflow.outcome
        where root_id = a.root_id and state = 'cancelled' and finished_at >= %(since)s::timestamptz) o
 order by o.task_id
