-- Guarantees: questions, newest first: these alone, or those in a state, of a run or a workflow, that one of these may
-- decide now. One whose run is over without a decision is `withdrawn`, and not pending any more.
-- Index: approval_pending for those that are, approval_root_id_task_id_node_key for a run's, else approval_pkey, backwards;
-- outcome_pkey.
select f.id, f.root_id, f.task_id, f.node, f.workflow, f.title, f.description, f.form, f.may, f.escalations, f.asked_at,
       f.due_at, f.state, f.decided_at, f.decided_by, f.answer, f.comment
  from (select a.*, pgflow.who_may(a.assignees, a.escalations) as may
          from pgflow.approval a
         where (%(id)s::bigint is null or a.id = %(id)s::bigint)
           and (%(before)s::bigint is null or a.id < %(before)s::bigint)
           and (%(run)s::bigint is null or a.root_id = %(run)s::bigint)
           and (%(workflow)s::text is null or a.workflow = %(workflow)s::text)
           and (%(state)s::text is null or a.state = case when %(state)s::text = 'withdrawn' then 'pending'
                                                          else %(state)s::text end)) a
 cross join lateral (
       select a.id, a.root_id, a.task_id, a.node, a.workflow, a.title, a.description, a.form, a.may, a.escalations,
              a.asked_at, a.due_at, a.decided_at, a.decided_by, a.answer, a.comment,
              case when a.state = 'pending' and exists (
                   select from pgflow.outcome o where o.root_id = a.root_id and o.task_id = a.task_id)
                   then 'withdrawn' else a.state end as state) f
 where (%(state)s::text is null or f.state = %(state)s::text)
   and (%(as)s::text[] is null or cardinality(f.may) = 0 or f.may && %(as)s::text[])
 order by f.id desc limit %(limit)s::integer
