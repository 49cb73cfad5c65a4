-- Guarantees: every task that is in no place or in two, and all else that only a broken engine leaves behind. Nothing
-- on a healthy system, however busy it is: one statement sees one snapshot, and no move takes two.
-- Columns: problem, task_id, run_id, detail
-- Parameters: none
-- Index: none, because it compares all tasks with all outcomes; what is in motion is small.
with live as materialized (
    select p.task_id, p.root_id, p.state from pgflow.place p
     where p.state not in ('completed', 'failed', 'cancelled', 'skipped')
), whole as (
    -- While old history is being dropped, its tasks go first.
    select p.lower, p.upper from pgflow.partition p
     where exists (select from pgflow.task t where t.root_id >= p.lower and t.root_id < p.upper)
)
select 'in no place' as problem, t.id as task_id, t.root_id as run_id, t.name as detail
  from pgflow.task t
 where not exists (select from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id)
   and not exists (select from live l where l.root_id = t.root_id and l.task_id = t.id)
union all
select 'in several places', l.task_id, min(l.root_id), string_agg(l.state::text, ', ' order by l.state)
  from live l group by l.task_id having count(*) > 1
union all
select 'has its outcome and is in a place', l.task_id, l.root_id, l.state::text
  from live l where exists (select from pgflow.outcome o where o.root_id = l.root_id and o.task_id = l.task_id)
union all
select 'in a place, but there is no such task', l.task_id, l.root_id, l.state::text
  from live l where not exists (select from pgflow.task t where t.root_id = l.root_id and t.id = l.task_id)
union all
select 'has its outcome, but there is no such task', o.task_id, o.root_id, o.state::text
  from whole w join pgflow.outcome o on o.root_id >= w.lower and o.root_id < w.upper
 where not exists (select from pgflow.task t where t.root_id = o.root_id and t.id = o.task_id)
union all
select 'leased to an unknown worker', l.task_id, l.root_id, 'worker ' || l.worker_id
  from pgflow.lease l where not exists (select from pgflow.worker w where w.id = l.worker_id)
union all
select 'shares its epoch with another lease', l.task_id, l.root_id, 'epoch ' || l.epoch
  from pgflow.lease l join (select epoch from pgflow.lease group by epoch having count(*) > 1) twice using (epoch)
union all
select 'has an instant to wake at, but does not wait', i.task_id, i.root_id, i.wake_at::text
  from pgflow.inbox i where i.wake_at is not null and (i.needed > i.arrived) is not true
union all
select 'has an inbox, but there is no such task', i.task_id, i.root_id, i.arrived || ' arrived'
  from pgflow.inbox i
 where not exists (select from pgflow.task t where t.root_id = i.task_id and t.id = i.task_id)
   and not exists (select from pgflow.task t where t.id = i.task_id and t.parent_id is not null)
 order by 2, 1
