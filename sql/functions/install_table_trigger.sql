-- Guarantees: the table trigger that `config` describes is installed, in the place of an earlier one of its name on the
-- same table; or nothing has changed, and what is wrong is told. Answers {"done": "created" | "changed" | "unchanged"}
-- or {"fault": ..., "hint": ...}. Every word of `config` becomes an identifier or a literal; the condition is held to
-- be one expression. Runs as whoever asks, who needs the right TRIGGER on the table, and its ownership to change it.
-- Index: none (catalog).
create or replace function pgflow.install_table_trigger(config jsonb) returns jsonb
language plpgsql
set lock_timeout = '2s'
as $$
declare
    home constant text := split_part('pgflow.task', '.', 1);
    name constant text := config->>'name';
    ops constant text[] := array(select jsonb_array_elements_text(config->'on'));
    columns constant text[] := array(select jsonb_array_elements_text(config->'columns'));
    condition text := config->>'when';
    fault text := pgflow.fault_of_condition(condition);
    relation regclass;
    kind "char";
    existing record;
    missing text;
    own text[];
    in_rows boolean;
    op text;
    changed constant text := '(' || (
        select string_agg(format(
                   'pg_catalog.to_jsonb(old.%1$I) is distinct from pg_catalog.to_jsonb(new.%1$I)', c), ' or ')
          from unnest(columns) c) || ')';
begin
    if fault is not null then
        return jsonb_build_object('fault', format('the condition makes no sense: %s', fault));
    end if;
    fault := pgflow.fault_of_asked(config->'start');
    if fault is not null then
        return jsonb_build_object('fault', format('what it starts makes no sense: %s', fault));
    elsif octet_length(home || '_' || name || '_insert') > 63 then
        return jsonb_build_object('fault', 'its name is too long');
    end if;
    begin
        relation := to_regclass(config->>'table');
    exception when invalid_name or syntax_error or feature_not_supported then
        null;
    end;
    select c.relkind into kind from pg_class c where c.oid = relation and c.relnamespace <> home::regnamespace;
    if kind is null or kind not in ('r', 'p', 'f') then
        return jsonb_build_object('fault', format('there is no table %s', config->>'table'),
                                  'hint', 'as in orders, shop.orders or shop."Orders"');
    end if;
    select r.column_name into missing
      from (select unnest(columns) union select jsonb_array_elements_text(config->'refers')) r(column_name)
     where not exists (select from pg_attribute a where a.attrelid = relation and a.attname = r.column_name
                          and a.attnum > 0 and not a.attisdropped)
     order by 1 limit 1;
    if missing is not null then
        return jsonb_build_object('fault', format('table %s has no column %s', relation, quote_ident(missing)));
    end if;
    perform pg_advisory_xact_lock(hashtext('pgflow.install_table_trigger'));
    own := array(select home || '_' || name || '_' || o from unnest(ops) o);
    select t.* into existing from pgflow.table_triggers() t where t.name = install_table_trigger.config->>'name';
    if existing.relation <> relation then
        return jsonb_build_object('fault', format('there is one of that name on table %s', existing.relation),
                                  'hint', 'choose another name, or remove that one first');
    elsif existing.config = config and existing.triggers is not null and not exists (
              select from pg_trigger t where t.tgrelid = relation and t.tgname = any(existing.triggers)
                 and t.tgenabled = 'D') then
        return jsonb_build_object('done', 'unchanged');
    end if;

    if exists (select from pg_trigger t where t.tgrelid = relation and t.tgname = any(own)
                                and t.tgname <> all(coalesce(existing.triggers, '{}'))) then
        return jsonb_build_object('fault', format('table %s has a trigger of its own that is called so', relation));
    end if;
    in_rows := condition is null and kind = 'r' and not exists (
        select from pg_inherits i where i.inhrelid = relation or i.inhparent = relation);
    begin
        perform pgflow.drop_triggers(relation, array(select t from unnest(existing.triggers) t where t <> all(own)));
        foreach op in array ops loop
            execute format(
                'create or replace trigger %I after %s on %s %s %s execute function %I.%I(%L)',
                home || '_' || name || '_' || op, op, relation,
                case when not in_rows or op = 'update' then 'for each row'
                     when op = 'insert' then 'referencing new table as new_rows for each statement'
                     else 'referencing old table as old_rows for each statement' end,
                E'when (' || nullif(concat_ws(' and ', case when op = 'update' then changed end,
                                              '(' || condition || E'\n)'), '') || ')',
                home, case when in_rows and op <> 'update' then 'start_from_rows' else 'start_from_row' end, config);
        end loop;
    exception
        when lock_not_available then
            return jsonb_build_object('fault', format('table %s is locked by others', relation),
                                      'hint', 'try again at a quieter moment');
        when syntax_error_or_access_rule_violation or feature_not_supported then
            if sqlstate = '42501' then
                raise;
            end if;
            return jsonb_build_object('fault', sqlerrm, 'hint', case when sqlerrm like '%condition cannot reference%'
                then 'make one table trigger for each kind of change' end);
    end;
    return jsonb_build_object('done', case when existing.relation is null then 'created' else 'changed' end);
end
$$;

-- Guarantees: these triggers of a table are gone.
-- Index: none (catalog).
create or replace function pgflow.drop_triggers(relation regclass, triggers text[]) returns void
language plpgsql
as $$
declare
    name text;
begin
    foreach name in array coalesce(triggers, '{}') loop
        execute format('drop trigger %I on %s', name, relation);
    end loop;
end
$$;
