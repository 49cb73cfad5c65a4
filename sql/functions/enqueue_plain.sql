-- Guarantees: like pgflow.enqueue for one document that has nothing but a name, a queue, a priority and a small input:
-- the same rows in fewer steps, because for a single task the setting up of a statement costs more than its work. Null,
-- and nothing written, for any other, for one that makes no sense, and when the queue is limited.
-- Index: limit_pkey; the rest are inserts.
create or replace function pgflow.enqueue_plain(document jsonb, actor text, consume boolean) returns bigint
language plpgsql
as $$
declare
    lane constant text := coalesce(document->>'queue', 'default');
    urgency constant smallint := case document->'priority' when '0' then 0 when '1' then 1 when '3' then 3 else 2 end;
    given constant jsonb := coalesce(document->'input', '{}');
    id bigint;
begin
    if jsonb_typeof(document) <> 'object' or jsonb_typeof(document->'name') is distinct from 'string' then
        return null;
    elsif document - '{name,queue,priority,input}'::text[] <> '{}' or pg_column_size(given) > 2048
       or document->>'name' !~ '^[A-Za-z_][A-Za-z0-9_.:-]{0,199}$' or jsonb_typeof(given) <> 'object'
       or jsonb_typeof(document->'queue') <> 'string' or lane !~ '^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}$'
       or document->'priority' not in ('0', '1', '2', '3')
       or exists (select from pgflow.limit l where l.queue = lane) then
        return null;
    end if;
    id := nextval('pgflow.task_id_seq');
    insert into pgflow.task (id, root_id, name, queue, priority, input, created_at, actor)
    values (id, id, document->>'name', lane, urgency, given, pgflow.now(), actor);
    insert into pgflow.ready (queue, priority, task_id, root_id, attempt, crashes)
    values (lane, urgency, id, id, 1, 0);
    perform pgflow.wake(array[lane], consume);
    return id;
end
$$;
