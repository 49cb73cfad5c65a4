-- Guarantees: who may decide now: those asked at first, and those of each escalation whose time has come. Empty: anybody.
-- Index: none, because it reads nothing.
create or replace function pgflow.who_may(assignees text[], escalations jsonb) returns text[]
language sql stable
as $$
    select case when cardinality(assignees) = 0 then assignees else assignees || array(
        select distinct w.who from jsonb_array_elements(escalations) e
         cross join jsonb_array_elements_text(e->'assignees') w(who)
         where (e->>'at')::timestamptz <= pgflow.now() and w.who <> all(assignees)) end
$$;
