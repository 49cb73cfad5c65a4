-- Guarantees: the newest unfinished run of this name that was started with this key. No row: there is none.
-- Index: task_key, outcome_pkey.
select t.id from pgflow.task t
 where t.key = %(key)s::text and t.name = %(name)s::text and t.parent_id is null
   and not exists (select from pgflow.outcome o where o.root_id = t.root_id and o.task_id = t.id)
 order by t.id desc limit 1
