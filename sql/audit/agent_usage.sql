-- Guarantees: what agents have spent lately, by workflow, node and model, the dearest first. Calls whose price nobody knows
-- are counted in `unpriced`, and cost nothing here.
-- Columns: workflow, node, model, runs, calls, input_tokens, output_tokens, cached_tokens, cost, unpriced, seconds, last_at
-- Parameters: since interval = '7 days', name text = '%', limit integer = 50
-- Index: none, because events are not indexed by time; partitions that rest since before then are not read.
with horizon as materialized (
    select n.now - %(since)s::interval as since,
           (select min(p.lower) from pgflow.partition p
             where p.idle_since is null or p.idle_since > n.now - %(since)s::interval) as root_id
      from (select pgflow.now() as now offset 0) n
), answered as materialized (
    select e.root_id, e.task_id, e.at, e.data->>'seconds' as seconds, e.data->'result'->'usage' as used
      from pgflow.event e
     where e.root_id >= (select root_id from horizon) and e.at >= (select since from horizon)
       and e.type = 'step.completed' and (e.key = 'model' or starts_with(e.key, 'model#'))
)
select r.name as workflow, t.step as node, a.used->>'model' as model, count(distinct a.root_id) as runs,
       count(*) as calls, sum((a.used->>'input_tokens')::bigint)::bigint as input_tokens,
       sum((a.used->>'output_tokens')::bigint)::bigint as output_tokens,
       sum((a.used->>'cached_tokens')::bigint)::bigint as cached_tokens,
       coalesce(sum((a.used->>'cost')::numeric), 0) as cost, count(*) filter (where a.used->>'cost' is null) as unpriced,
       round(sum(a.seconds::numeric), 1) as seconds, max(a.at) as last_at
  from answered a
  join pgflow.task t on t.root_id = a.root_id and t.id = a.task_id and t.name = 'pgflow.node.agent'
  join pgflow.task r on r.root_id = a.root_id and r.id = a.root_id
 where r.name like %(name)s::text
 group by r.name, t.step, a.used->>'model'
 order by cost desc, calls desc, workflow, node, model limit %(limit)s::integer
