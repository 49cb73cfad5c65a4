-- Guarantees: every table trigger there is, as the catalog has it: nothing of ours has to be kept beside.
-- Index: none (catalog).
create or replace function pgflow.table_triggers(
    out name text, out relation regclass, out triggers text[], out enabled boolean, out config jsonb)
returns setof record
language sql stable
as $$
    select t.config->>'name', t.tgrelid, array_agg(t.tgname::text order by t.tgname), bool_and(t.tgenabled <> 'D'),
           t.config
      from (select t.tgrelid, t.tgname, t.tgenabled, convert_from( -- the only argument, ended by a zero
                       substring(t.tgargs for octet_length(t.tgargs) - 1), getdatabaseencoding())::jsonb as config
              from pg_trigger t
             where t.tgparentid = 0 and t.tgnargs = 1
               and t.tgfoid in ('pgflow.start_from_row()'::regprocedure, 'pgflow.start_from_rows()'::regprocedure)) t
     group by t.tgrelid, t.config
$$;

-- Guarantees: the table trigger of that name is gone. False: there was none. Runs as whoever asks, who has to own the
-- table.
-- Index: none (catalog).
create or replace function pgflow.remove_table_trigger(name text) returns boolean
language plpgsql
set lock_timeout = '2s'
as $$
declare
    existing record;
    found_one boolean := false;
begin
    for existing in select t.relation, t.triggers from pgflow.table_triggers() t
                     where t.name = remove_table_trigger.name loop
        perform pgflow.drop_triggers(existing.relation, existing.triggers);
        found_one := true;
    end loop;
    return found_one;
end
$$;
