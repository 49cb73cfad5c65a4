-- Guarantees: the inbox rows of these tasks' parents are there and locked, in order. For whoever takes rows out of inbox
-- and then arrives at their parents: a parent's id is below its children's, and nobody may hold a child's row and wait
-- for a lower one. Returns how many.
-- Index: task_child, inbox_pkey.
create or replace function pgflow.lock_parents(tasks bigint[]) returns integer
language plpgsql
set enable_seqscan = off
as $$
declare
    parents bigint[];
begin
    select array_agg(distinct t.parent_id order by t.parent_id) into parents
      from unnest(tasks) as a(id) cross join lateral (
           select parent_id from pgflow.task where id = a.id and parent_id is not null offset 0) t;
    if parents is null then
        return 0;
    end if;
    insert into pgflow.inbox (task_id) select unnest(parents) order by 1 on conflict do nothing;
    perform i.task_id from unnest(parents) as p(id) cross join lateral (
            select task_id from pgflow.inbox where task_id = p.id for update) i;
    return cardinality(parents);
end
$$;
