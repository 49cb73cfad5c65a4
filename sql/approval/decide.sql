-- Guarantees: a question is decided at most once, in time, by somebody who may, while its run is not over; and the run is
-- told of it in the same transaction, by a signal that nobody else can send. Says what came of it: `done`, `unknown`,
-- `over`, `late`, `forbidden`, or in which state it was already, with who may decide, the run, and by whom and when it was
-- decided. Whoever is just deciding the same is waited for.
-- Index: approval_pkey, outcome_pkey.
with asked as materialized (
    select a.*, pgflow.who_may(a.assignees, a.escalations) as may, n.now
      from (select pgflow.now() as now offset 0) n
     cross join lateral (select * from pgflow.approval where id = %(id)s::bigint for update) a
), judged as materialized (
    select a.*, case
           when a.state <> 'pending' then a.state
           when exists (select from pgflow.outcome o where o.root_id = a.root_id and o.task_id = a.task_id) then 'over'
           when a.due_at <= a.now then 'late'
           when cardinality(a.may) > 0 and not coalesce(a.may && %(as)s::text[], false) then 'forbidden'
           else 'done' end as verdict
      from asked a
), decided as (
    update pgflow.approval a
       set state = case when %(approved)s::boolean then 'approved' else 'rejected' end, decided_at = j.now,
           decided_by = %(by)s::text, answer = %(answer)s::jsonb, comment = %(comment)s::text
      from judged j where a.id = j.id and j.verdict = 'done'
    returning a.root_id, a.task_id, a.node, a.decided_at, a.decided_by, a.answer, a.comment
), told as (
    insert into pgflow.event (root_id, task_id, type, at, key, actor, data)
    select d.root_id, d.task_id, 'signal.received', d.decided_at, '$approval:' || d.node, d.decided_by,
           jsonb_build_object('payload', jsonb_build_object(
               'approved', %(approved)s::boolean, 'by', d.decided_by, 'at', d.decided_at, 'form', d.answer,
               'comment', d.comment))
      from decided d
    returning task_id
)
select j.verdict, j.may, j.root_id, j.decided_by, j.decided_at, (
           select pgflow.arrive(array_agg(t.task_id), null, array_agg(1), null, null, null, null)
             from told t having count(*) > 0)
  from judged j
