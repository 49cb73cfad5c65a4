-- Guarantees: what a changed row asks for, as pgflow.enqueue takes it: the table trigger's `start`, with an input, a
-- key and a slot in which each reference stands for what the row has there. A column that is there no more is an
-- exception. `config` is as pgflow/sdk/registry/row_templates.py compiles it; op is insert, update or delete.
-- Index: none, because it reads nothing.
create or replace function pgflow.document_of_row(config jsonb, relation text, op text, before jsonb, after jsonb)
returns jsonb
language plpgsql
as $$
declare
    facts constant jsonb := jsonb_build_object('table', relation, 'op', op, 'at', pgflow.now(), 'old', before,
                                               'new', after, 'row', coalesce(after, before));
    input jsonb := config->'input';
    document jsonb;
    place jsonb;
    words text;
begin
    if config ? 'places' then
        for place in select p from jsonb_array_elements(config->'places') p loop
            input := jsonb_set(input, array(select jsonb_array_elements_text(place->'path')), case
                when place ? 'reference' then pgflow.value_of_row(facts, place->'reference')
                else to_jsonb(pgflow.text_of_row(facts, place->'parts')) end);
        end loop;
    end if;
    document := config->'start' || jsonb_build_object('input', coalesce(input, facts - 'row'));
    if config ? 'key' then
        words := pgflow.text_of_row(facts, config->'key');
        document := document || jsonb_build_object('hash', false, 'key', case
            when length(words) <= 500 then words
            else left(words, 400) || encode(sha256(convert_to(words, 'UTF8')), 'hex') end);
    end if;
    if config ? 'slot' then
        document := document || jsonb_build_object('slot', pgflow.text_of_row(facts, config->'slot'));
    end if;
    return document;
end
$$;

-- Guarantees: what stands at a reference, such as ["new", "id"]; null where there is no such row.
-- Index: none, because it reads nothing.
create or replace function pgflow.value_of_row(facts jsonb, reference jsonb) returns jsonb
language plpgsql
as $$
declare
    whole constant jsonb := facts->(reference->>0);
begin
    if jsonb_array_length(reference) = 1 or whole = 'null' then
        return whole;
    elsif not whole ? (reference->>1) then
        raise exception 'table % has no column % any more', facts->>'table', quote_ident(reference->>1)
            using errcode = 'undefined_column', hint = 'install its table trigger anew, or remove it';
    end if;
    return whole->(reference->>1);
end
$$;

-- Guarantees: texts and what stands at references, one after another; nothing for what is null.
-- Index: none, because it reads nothing.
create or replace function pgflow.text_of_row(facts jsonb, parts jsonb) returns text
language sql
as $$
    select string_agg(case when jsonb_typeof(p) = 'string' then p #>> '{}'
                           else coalesce(pgflow.value_of_row(facts, p) #>> '{}', '') end, '' order by n)
      from jsonb_array_elements(parts) with ordinality e(p, n)
$$;
