-- Guarantees: pgflow.enqueue for one task, for people: select pgflow.start('send_email', '{"to": "ann@example.com"}').
-- Index: those of pgflow.enqueue.
create or replace function pgflow.start(
    name text, input jsonb default '{}', queue text default 'default', key text default null,
    delay interval default null, due_at timestamptz default null, priority integer default 2,
    hold interval default null, timeout interval default null, retry jsonb default null, slot text default null,
    tags jsonb default null, actor text default null, trace text default null)
returns bigint
language sql
as $$
    select (pgflow.enqueue(jsonb_build_array(
        jsonb_strip_nulls(jsonb_build_object(
            'name', name, 'queue', queue, 'key', key, 'delay', extract(epoch from delay), 'due_at', due_at,
            'priority', priority, 'hold', extract(epoch from hold), 'timeout', extract(epoch from timeout),
            'slot', slot, 'trace', trace))
        || jsonb_build_object('input', input)
        || case when retry is null then '{}' else jsonb_build_object('retry', retry) end
        || case when tags is null then '{}' else jsonb_build_object('tags', tags) end), actor))[1]
$$;
