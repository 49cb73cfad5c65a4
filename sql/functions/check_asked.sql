-- Guarantees: what is asked for in SQL makes sense, or an exception says which document does not, and why.
-- Index: none, because it reads nothing.
create or replace function pgflow.check_asked(asked jsonb) returns void
language plpgsql
as $$
declare
    asked_for record;
    fault text;
begin
    if asked is null or jsonb_typeof(asked) <> 'array' then
        raise exception 'an array of documents is needed, not %', coalesce(jsonb_typeof(asked), 'null')
            using errcode = 'invalid_parameter_value', hint = 'give [{"name": "send_email", "input": {...}}]';
    end if;
    -- What is asked for most is seen to be right at a tenth of the cost.
    for asked_for in
        select d.doc, d.ord from jsonb_array_elements(asked) with ordinality d(doc, ord)
         where not coalesce(
               jsonb_typeof(d.doc) = 'object' and d.doc - '{name,queue,input,key,slot}'::text[] = '{}'
               and jsonb_typeof(d.doc->'name') = 'string' and d.doc->>'name' ~ '^[A-Za-z_][A-Za-z0-9_.:-]{0,199}$'
               and coalesce(jsonb_typeof(d.doc->'input'), 'object') = 'object'
               and coalesce(jsonb_typeof(d.doc->'slot'), 'string') = 'string'
               and coalesce(jsonb_typeof(d.doc->'queue'), 'string') = 'string'
               and coalesce(d.doc->>'queue', 'default') ~ '^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}$'
               and coalesce(jsonb_typeof(d.doc->'key'), 'string') = 'string'
               and coalesce(length(d.doc->>'key'), 1) between 1 and 500, false)
         order by d.ord
    loop
        fault := pgflow.fault_of_asked(asked_for.doc);
        if fault is not null then
            raise exception '% cannot be enqueued: %',
                            coalesce(asked_for.doc->>'name', 'document ' || asked_for.ord), fault
                using errcode = 'invalid_parameter_value', detail = format('It is document %s.', asked_for.ord);
        end if;
    end loop;
end
$$;

-- Guarantees: what is wrong with such a document, or null.
-- Index: none, because it reads nothing.
create or replace function pgflow.fault_of_asked(doc jsonb) returns text
language plpgsql immutable
as $$
declare
    longest constant numeric := 3155760000;  -- seconds: a hundred years, as in pgflow/duration.py
    field text;
    value jsonb;
    kind text;
    words text;
    number numeric;
    fits boolean;
begin
    if jsonb_typeof(doc) <> 'object' then
        return 'it is no object';
    elsif not doc ? 'name' then
        return 'it has no name';
    end if;
    for field, value in select f.key, f.value from jsonb_each(doc) f loop
        kind := jsonb_typeof(value);
        continue when kind = 'null' and field <> 'name';
        words := case when kind = 'string' then value #>> '{}' end;
        number := case when kind = 'number' then value::numeric end;
        fits := case field
            when 'name' then words ~ '^[A-Za-z_][A-Za-z0-9_.:-]{0,199}$'
            when 'queue' then words ~ '^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}$'
            when 'priority' then number in (0, 1, 2, 3)
            when 'input' then kind = 'object'
            when 'retry' then kind = 'object'
            when 'tags' then kind = 'object'
            when 'slot' then kind = 'string'
            when 'trace' then kind = 'string'
            when 'key' then length(words) between 1 and 500
            when 'timeout' then number > 0 and number <= longest
            when 'hold' then number between 0 and longest
            when 'delay' then number between -longest and longest
            when 'due_at' then words ~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)? ?(Z|[+-]\d\d(:?\d\d){0,2})$'
                               and left(words, 4) between '0002' and '9998'
            when 'id' then number > 0 and number % 1 = 0
            when 'hash' then kind = 'boolean'
            else true
        end;
        if fits then
            continue when field in ('name', 'queue', 'priority', 'input', 'retry', 'tags', 'slot', 'trace', 'key',
                                    'timeout', 'hold', 'delay', 'due_at', 'id', 'hash');
            return format('there is no field "%s"', field);
        end if;
        return format('its %s is %s, not %s', field, left(value::text, 100), case field
            when 'name' then 'letters, digits and _ . : -, at most 200'
            when 'queue' then 'letters, digits and _ . : -, at most 100'
            when 'priority' then '0 (critical), 1 (high), 2 (normal) or 3 (low)'
            when 'key' then 'text of 1 to 500 characters'
            when 'due_at' then 'an instant with a time zone, of the years 2 to 9998, such as 2030-01-31T12:00:00Z'
            when 'id' then 'one of pgflow.task_id_seq'
            when 'hash' then 'true or false'
            when 'slot' then 'text'
            when 'trace' then 'text'
            when 'timeout' then 'seconds, more than none and at most a hundred years'
            when 'hold' then 'seconds, at most a hundred years'
            when 'delay' then 'seconds, at most a hundred years'
            else 'an object'
        end);
    end loop;
    return null;
end
$$;
