-- Guarantees: at least `ahead` whole partitions of task, outcome and event lie above the last id given out, so that an
-- enqueue always finds one. Made by the schema's owner whoever calls: a worker's role may not create tables.
-- Index: none (catalog).
create or replace function pgflow.make_partitions(ahead integer, width bigint default 10000000) returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    made integer := 0;
    given bigint;
    start bigint;
    parent text;
begin
    perform pg_advisory_xact_lock(hashtext('pgflow.make_partitions'));
    select last_value into given from pgflow.task_id_seq;
    select coalesce(max(upper), 0) into start from pgflow.partition;
    while start < given + ahead * width loop
        foreach parent in array array['task', 'outcome', 'event'] loop
            execute format('create table if not exists pgflow.%I partition of pgflow.%I for values from (%s) to (%s)',
                           parent || '_' || (start / width), parent, start, start + width);
        end loop;
        insert into pgflow.partition (lower, upper, made_at) values (start, start + width, pgflow.now());
        start := start + width;
        made := made + 1;
    end loop;
    return made;
end
$$;
