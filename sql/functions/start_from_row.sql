-- Guarantees: a row that was changed starts a run, in the same commit. For each row; condition and columns are the
-- Postgres trigger's own, so that they are looked at with the rights of who changes the row, and cost little where they
-- do not hold. What it writes, it writes as the schema's owner: whoever changes the row needs no right here.
-- Index: none; see pgflow.enqueue.
create or replace function pgflow.start_from_row() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set intervalstyle = 'iso_8601'
set bytea_output = 'hex'
as $$
declare
    config constant jsonb := tg_argv[0];
    op constant text := lower(tg_op);
    before constant jsonb := case when op <> 'insert' then to_jsonb(old) end;
    after constant jsonb := case when op <> 'delete' then to_jsonb(new) end;
    relation constant text := coalesce(pg_partition_root(tg_relid), tg_relid)::regclass;
begin
    if pgflow.change_counts(config) then
        perform pgflow.start_from_changes(config, relation, op, array[before], array[after]);
    end if;
    return null;
end
$$;

-- Guarantees: the same for all rows that a statement inserts or deletes, at a third of the cost.
-- Index: none; see pgflow.enqueue.
create or replace function pgflow.start_from_rows() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set intervalstyle = 'iso_8601'
set bytea_output = 'hex'
as $$
declare
    config constant jsonb := tg_argv[0];
    relation constant text := tg_relid::regclass;
    -- Few enough for a document of at most 256 MB, many enough for what a statement costs by itself.
    most constant integer := 200;
    changed jsonb[];
begin
    if not pgflow.change_counts(config) then
        return null;
    elsif tg_op = 'INSERT' then
        for changed in
            select array_agg(r.after)
              from (select to_jsonb(n) as after, (row_number() over () - 1) / most as part from new_rows n) r
             group by r.part order by r.part
        loop
            perform pgflow.start_from_changes(config, relation, 'insert', null, changed);
        end loop;
    else
        for changed in
            select array_agg(r.before)
              from (select to_jsonb(o) as before, (row_number() over () - 1) / most as part from old_rows o) r
             group by r.part order by r.part
        loop
            perform pgflow.start_from_changes(config, relation, 'delete', changed, null);
        end loop;
    end if;
    return null;
end
$$;

-- Guarantees: whether a change that is made here and now is one to start from. A run's transactions (ctx.tx) carry its
-- id in the setting pgflow.origin. What a run changes that this very trigger has started does not count, so that it
-- does not start itself for ever; nor, where the trigger says so, what any run changes, or what other triggers change.
-- Index: task_pkey.
create or replace function pgflow.change_counts(config jsonb) returns boolean
language plpgsql
as $$
declare
    origin constant text := nullif(current_setting('pgflow.origin', true), '');
begin
    if config->'direct' = 'true' and pg_trigger_depth() > 1 then
        return false;
    elsif origin is null or config->>'runs' = 'all' then
        return true;
    elsif config->>'runs' = 'none' or origin !~ '^\d{1,18}$' then
        return false;
    end if;
    return not exists (select from pgflow.task t where t.root_id = origin::bigint and t.id = origin::bigint
                          and t.actor = 'table trigger ' || (config->>'name'));
end
$$;

-- Guarantees: these changes have started what they are to start. What keeps them from it fails the statement that makes
-- them, so that nothing is lost unseen; or is a warning, where the trigger says so.
-- Index: none; see pgflow.enqueue.
create or replace function pgflow.start_from_changes(
    config jsonb, relation text, op text, before jsonb[], after jsonb[]) returns void
language plpgsql
as $$
begin
    if config->>'on_error' = 'warn' then
        begin
            perform pgflow.start_from_changes(config - 'on_error', relation, op, before, after);
        exception when others then
            raise warning 'table trigger % started nothing: %', config->>'name', sqlerrm;
        end;
    else
        perform pgflow.enqueue(
            (select jsonb_agg(pgflow.document_of_row(config, relation, op, c.before, c.after) order by c.ord)
               from unnest(before, after) with ordinality c(before, after, ord)),
            'table trigger ' || (config->>'name'));
    end if;
end
$$;

-- They act as the owner: only who may enqueue may make triggers of them.
revoke all on function pgflow.start_from_row(), pgflow.start_from_rows() from public;
