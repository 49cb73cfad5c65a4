-- Guarantees: at most `most` rows of a query, each as the text of a record. `types` are those of its $1, $2, ..., for which
-- the arguments stand as text. It is done with the rights of the reader role, which owns this function, and of nobody
-- else: within a function that is done as its owner, Postgres lets no statement take another role, however it is wrapped.
-- An exception when another owns it, so that it never lends the rights of whoever has created it.
-- Index: none, because whoever asks chooses what is read.
create or replace function pgflow.look(query text, types oid[], arguments text[], most integer) returns setof text
language plpgsql
security definer
as $$
declare
    taken constant text := (select '(' || string_agg(format_type(t.type, null), ', ' order by t.place) || ')'
                              from unnest(types) with ordinality t(type, place));
    given constant text := (select '(' || string_agg(quote_nullable(a.value), ', ' order by a.place) || ')'
                              from unnest(arguments) with ordinality a(value, place));
    number integer := 0;
    line record;
begin
    if current_user <> split_part('pgflow.task', '.', 1) || '_reader' then
        raise insufficient_privilege using message = 'pgflow.look does not belong to the reader role';
    end if;
    if exists (select from pg_prepared_statements s where s.name = 'pgflow_look') then
        deallocate pgflow_look;  -- what an error has left: such statements outlive their transaction
    end if;
    execute 'prepare pgflow_look' || coalesce(taken, '') || ' as ' || query;
    for line in execute 'execute pgflow_look' || coalesce(given, '') loop
        return next line::text;
        number := number + 1;
        exit when number >= most;
    end loop;
    deallocate pgflow_look;
end
$$;
