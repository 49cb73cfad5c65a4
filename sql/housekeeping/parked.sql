-- Guarantees: up to `limit` tasks that were parked because their run was paused, by a statement that saw it paused just
-- before it was resumed, go on. Returns how many.
-- Index: paused_run_pkey; the table holds what is parked.
with taken as (
    delete from pgflow.parked p where p.ctid = any(array(
        select p.ctid from pgflow.parked p
         where p.reason = 'paused' and not exists (select from pgflow.paused_run r where r.root_id = p.root_id)
         limit %(limit)s::integer for update skip locked))
    returning p.task_id, p.root_id, p.attempt, p.crashes
)
select pgflow.make_ready(array_agg(t.task_id order by t.task_id), array_agg(t.root_id order by t.task_id),
                         array_agg(t.attempt order by t.task_id), array_agg(t.crashes order by t.task_id))
  from taken t
