-- Guarantees: tasks that a concurrency or rate limit holds back, by its key, the longest line first.
-- Columns: key, tasks, queues, next_task_id, since
-- Parameters: limit integer = 50
-- Index: throttled_key, task_pkey; the table holds only what is held back.
select h.key, count(*) as tasks, array_agg(distinct h.queue::text) as queues,
       (array_agg(h.task_id order by h.priority, h.seq))[1] as next_task_id,
       min(greatest(t.created_at, t.due_at)) as since
  from pgflow.throttled h
  join pgflow.task t on t.root_id = h.root_id and t.id = h.task_id
 group by h.key
 order by count(*) desc, h.key limit %(limit)s::integer
