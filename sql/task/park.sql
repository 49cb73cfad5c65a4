-- Guarantees: each lease that this worker still holds in that epoch ends parked, with the reason, for a person to look
-- at and resume; one it no longer holds is left alone. An orderly end takes the claim's crash back. Returns those parked.
-- Index: lease_pkey.
with asked as materialized (
    select a.* from rows from (
           unnest(%(tasks)s::bigint[]), unnest(%(epochs)s::bigint[]), unnest(%(reasons)s::pgflow.state[]),
           jsonb_array_elements(%(details)s::jsonb)) as a(task_id, epoch, reason, detail)
), held as materialized (
    select l.ctid as tid, a.*
      from (select * from asked order by task_id) a cross join lateral (
           select l.ctid from pgflow.lease l
            where l.task_id = a.task_id and l.epoch = a.epoch and l.worker_id = %(worker)s::bigint
              for update) l
), freed as (
    delete from pgflow.lease l using held h where l.ctid = h.tid
    returning l.task_id, l.root_id, l.attempt, (l.crashes - 1)::smallint as crashes, l.queue, l.slot, h.reason, h.detail
), parked as (
    insert into pgflow.parked (task_id, root_id, reason, since, detail, attempt, crashes)
    select f.task_id, f.root_id, f.reason, pgflow.now(), f.detail, f.attempt, f.crashes from freed f
), told as (
    insert into pgflow.event (root_id, task_id, type, attempt, at, worker_id, data)
    select f.root_id, f.task_id, 'workflow.parked', f.attempt, pgflow.now(), %(worker)s::bigint,
           jsonb_build_object('reason', f.reason) || coalesce(nullif(f.detail, 'null') - 'traceback', '{}')
      from freed f
)
select f.task_id, (select pgflow.admit(array_agg(g.queue), array_agg(g.slot)) from freed g
                    where g.slot is not null having count(*) > 0) from freed f
