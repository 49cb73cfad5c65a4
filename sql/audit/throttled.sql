-- Guarantees: tasks that a concurrency or rate limit holds back, by its slot, the longest line first.
-- Columns: slot, tasks, queues, next_task_id, since
-- Parameters: limit integer = 50
-- Index: throttled_turn, task_pkey; the table holds only what is held back.
select h.slot, count(*) as tasks, array_agg(distinct h.queue::text) as queues,
       (array_agg(h.task_id order by h.priority, h.seq))[1] as next_task_id,
       min(greatest(t.created_at, t.due_at)) as since
  from pgflow.throttled h
  join pgflow.task t on t.root_id = h.root_id and t.id = h.task_id
 group by h.slot
 order by count(*) desc, h.slot limit %(limit)s::integer
