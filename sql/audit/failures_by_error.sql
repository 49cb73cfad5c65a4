-- Guarantees: failed tasks grouped by their error, the most frequent first. Numbers, quoted texts and ids in messages
-- count as equal.
-- Columns: error, message, tasks, names, first_at, last_at, newest_task_id
-- Parameters: since interval = '1 day', name text = '%', limit integer = 20
-- Index: outcome_failed; task_pkey.
with failed as (
    select o.task_id, t.name, o.finished_at, o.error->>'type' as type,
           left(split_part(o.error->>'message', E'\n', 1), 500) as message
      from pgflow.outcome o
      join pgflow.task t on t.root_id = o.root_id and t.id = o.task_id
     where o.state = 'failed' and o.finished_at >= (select pgflow.now()) - %(since)s::interval
       and t.name like %(name)s::text
), normal as (
    select f.task_id, f.name, f.finished_at, f.type,
           regexp_replace(regexp_replace(regexp_replace(f.message,
               '[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}', '<id>', 'g'),
               '''[^'']*''|"[^"]*"', '<text>', 'g'),
               '0x[0-9a-fA-F]+|[0-9]+(?:[.][0-9]+)?', '<n>', 'g') as message
      from failed f
)
select n.type as error, n.message, count(*) as tasks, array_agg(distinct n.name) as names,
       min(n.finished_at) as first_at, max(n.finished_at) as last_at, max(n.task_id) as newest_task_id
  from normal n
 group by n.type, n.message
 order by count(*) desc, max(n.finished_at) desc limit %(limit)s::integer
