-- Guarantees: event_cursor has summarized every page that events lie on, so that who follows the history reads little
-- beyond what is new. Pages that are not summarized yet, because vacuum has not come by, are read by everybody who
-- follows. A partition that is being vacuumed is left out: vacuum does the same at its end, and must not be disturbed.
-- Done as the schema's owner whoever calls: a worker's role may not maintain indexes.
-- Index: event_cursor, of all partitions.
create or replace function pgflow.summarize_events() returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '50ms'
as $$
declare
    part regclass;
    done integer := 0;
begin
    for part in
        select i.inhrelid from pg_inherits i
         where i.inhparent = 'pgflow.event_cursor'::regclass order by i.inhrelid
    loop
        begin
            done := done + brin_summarize_new_values(part);
        exception when lock_not_available or undefined_table or undefined_object then
            null;
        end;
    end loop;
    return done;
end
$$;
