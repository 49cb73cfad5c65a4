-- Guarantees: what the agents of a run have spent, as recorded with each answer of a model: those of one account, then all.
-- Index: task_step for the agents of the run, event_step for what they recorded.
select count(*) filter (where u.account = %(account)s::bigint),
       coalesce(sum(u.input_tokens) filter (where u.account = %(account)s::bigint), 0)::bigint,
       coalesce(sum(u.output_tokens) filter (where u.account = %(account)s::bigint), 0)::bigint,
       coalesce(sum(u.cost) filter (where u.account = %(account)s::bigint), 0)::float8,
       count(*), coalesce(sum(u.input_tokens), 0)::bigint, coalesce(sum(u.output_tokens), 0)::bigint,
       coalesce(sum(u.cost), 0)::float8
  from pgflow.agent_usage u where u.run_id = %(root)s::bigint
