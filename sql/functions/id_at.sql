-- Guarantees: about where, among the ids of runs, those of an instant begin: a thousand ids up or down. An id is taken in
-- the statement that writes down the time, so both rise together but for what runs at the same moment, and for a clock that
-- is set; so leave some minutes to either side, and look at created_at.
-- Index: task_pkey, thirty descents.
create or replace function pgflow.id_at(instant timestamptz) returns bigint
language plpgsql stable
as $$
declare
    low bigint := 0;
    high bigint := (select coalesce(max(t.root_id), 0) + 1 from pgflow.task t);
    middle bigint;
    next record;
begin
    while high - low > 1000 loop
        middle := low + (high - low) / 2;
        select t.root_id, t.created_at into next
          from pgflow.task t where t.root_id >= middle order by t.root_id limit 1;
        if not found or next.created_at >= instant then
            high := middle;
        else
            low := middle;
        end if;
    end loop;
    return low;
end
$$;
