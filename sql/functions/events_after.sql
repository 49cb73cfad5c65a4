-- Guarantees: of the events below transaction `below`, the first `most` after (after_xid, after_id), in the order
-- (xid, id). With pg_snapshot_xmin(pg_current_snapshot()) as `below`, taken before, that order is final: every
-- transaction below it has ended, so nothing can appear any more before what was read.
-- What lies between is read in windows of transaction ids, narrow where events are dense and wide where there are none,
-- so that a page never costs more than a few of its size to sort; a single huge transaction is the exception.
-- Index: event_cursor. It is a BRIN, which costs writers nearly nothing, and only a bitmap scan can use it.
create or replace function pgflow.events_after(
    after_xid bigint default 0, after_id bigint default 0,
    below bigint default pg_snapshot_xmin(pg_current_snapshot())::text::bigint, most integer default 1000)
returns setof pgflow.event
language plpgsql
set enable_bitmapscan = on
set enable_seqscan = off
set max_parallel_workers_per_gather = 0
as $$
declare
    narrowest constant bigint := 16;
    widest constant bigint := 1::bigint << 40;
    crowd constant integer := greatest(10000, 4 * most);
    width bigint := narrowest;
    low bigint := after_xid;
    high bigint;
    lacking integer := most;
    met integer;
begin
    while low < below and lacking > 0 loop
        high := least(below, low + width);
        if width > narrowest then
            select count(*) into met from (
                select from pgflow.event e where e.xid >= low and e.xid < high limit crowd) c;
            if met = crowd then
                width := greatest(narrowest, width / 8);
                continue;
            end if;
        end if;
        if width = narrowest or met > 0 then
            return query
                select e.* from pgflow.event e
                 where e.xid >= low and e.xid < high and (e.xid > after_xid or e.id > after_id)
                 order by e.xid, e.id limit lacking;
            get diagnostics met = row_count;
            lacking := lacking - met;
        end if;
        low := high;
        if met < most / 4 then
            width := least(width * 4, widest);
        end if;
    end loop;
end
$$;
