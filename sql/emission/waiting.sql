-- Guarantees: up to `limit` waits past the given one that an event of this name and key, emitted at that instant, may
-- concern, in their order. Those that began after this statement see the event themselves.
-- Index: awaited_name, once for the event's key and once for waits without one.
select w.task_id, w.step, w.match, w.bound
  from (select a.* from (
            select task_id, step, match, bound, since from pgflow.awaited
             where name = %(name)s::text and key = %(key)s::text
               and (task_id, step) > (%(task)s::bigint, %(step)s::text)
             order by task_id, step limit %(limit)s::integer) a
        union all
        select b.* from (
            select task_id, step, match, bound, since from pgflow.awaited
             where name = %(name)s::text and key is null
               and (task_id, step) > (%(task)s::bigint, %(step)s::text)
             order by task_id, step limit %(limit)s::integer) b) w
 order by w.task_id, w.step limit %(limit)s::integer
