-- Guarantees: every call of a model that was answered once, with who made it and what it used: the ledger of agents. It is
-- what the agents recorded, so it says neither more nor less than the history.
-- Index: the primary key of task, event_step.
create or replace view pgflow.agent_usage as
    select t.root_id as run_id, t.id as task_id, t.step as node, (e.data->'result'->>'account')::bigint as account,
           e.data->'result'->>'agent' as agent, e.key as call, e.at, e.data->'result'->'usage'->>'model' as model,
           (e.data->'result'->'usage'->>'input_tokens')::bigint as input_tokens,
           (e.data->'result'->'usage'->>'output_tokens')::bigint as output_tokens,
           (e.data->'result'->'usage'->>'cached_tokens')::bigint as cached_tokens,
           (e.data->'result'->'usage'->>'cost')::numeric as cost, (e.data->>'seconds')::float8 as seconds
      from pgflow.task t
      join pgflow.event e on e.root_id = t.root_id and e.task_id = t.id and e.type = 'step.completed'
       and (e.key = 'model' or starts_with(e.key, 'model#'))
     where t.name = 'pgflow.node.agent';
