-- Guarantees: the events since then, or, where those lie on more than `most` pages of 8 kB, events of so many pages, spread
-- evenly; and where a quarter of `most` pages is exceeded, an even share of the events on them. `weight` is for how many
-- events each stands: 1 when all are there. So it costs the same however much happened, and is exact where little did.
-- Events are only ever appended, so that they lie in each partition nearly in the order of their times: the first page
-- that counts is found by halving. Partitions whose last pages are older cost one look, those that rest since then none.
-- Index: none, because events are not indexed by time; pages are read by their number, and no other plan is allowed.
create or replace function pgflow.events_since(since timestamptz, most integer default 1000)
returns table (root_id bigint, task_id bigint, id bigint, type pgflow.event_type, attempt smallint, at timestamptz,
               weight float8)
language plpgsql
set enable_seqscan = off
set enable_indexscan = off
set enable_bitmapscan = off
set max_parallel_workers_per_gather = 0
as $$
declare
    slack constant integer := 16;  -- pages by which a long transaction's events may lie out of order
    part record;
    low bigint;
    high bigint;
    middle bigint;
    latest timestamptz;
    pages bigint := 0;
    stride float8;
    share integer;
    which bigint;
    page float8;
    lowers bigint[] := '{}';
    uppers bigint[] := '{}';
    firsts bigint[] := '{}';
    ends bigint[] := '{}';
begin
    for part in
        select p.lower, p.upper, pg_relation_size(r.event) / current_setting('block_size')::bigint as size
          from pgflow.partition p
         cross join lateral to_regclass('pgflow.event_' || p.lower / (p.upper - p.lower)) r(event)
         where (p.idle_since is null or p.idle_since > since) and r.event is not null
    loop
        select max(e.at) into latest from pgflow.event e
         where e.root_id >= part.lower and e.root_id < part.upper
           and e.ctid >= format('(%s,0)', greatest(0, part.size - slack))::tid
           and e.ctid < format('(%s,0)', part.size)::tid;
        continue when part.size = 0 or latest < since;
        low := 0;
        high := part.size;
        while low < high loop
            middle := (low + high) / 2;
            select max(e.at) into latest from pgflow.event e
             where e.root_id >= part.lower and e.root_id < part.upper
               and e.ctid >= format('(%s,0)', middle)::tid and e.ctid < format('(%s,0)', middle + 1)::tid;
            if latest < since then
                low := middle + 1;
            else
                high := middle;
            end if;
        end loop;
        low := greatest(0, low - slack);
        lowers := lowers || part.lower;
        uppers := uppers || part.upper;
        firsts := firsts || low;
        ends := ends || part.size;
        pages := pages + part.size - low;
    end loop;
    stride := greatest(1, pages::float8 / most);
    share := greatest(1, ceil(least(pages, most) * 4.0 / most));
    which := floor(random() * share);
    for number in 1 .. cardinality(lowers) loop
        page := firsts[number] + case when stride = 1 then 0 else random() * stride end;
        while page < ends[number] loop
            return query
                select e.root_id, e.task_id, e.id, e.type, e.attempt, e.at, stride * share from pgflow.event e
                 where e.root_id >= lowers[number] and e.root_id < uppers[number] and e.at >= since
                   and e.ctid >= format('(%s,0)', floor(page))::tid
                   and e.ctid < format('(%s,0)', case when stride = 1 then ends[number] else floor(page) + 1 end)::tid
                   and (hashint8(e.id) & 65535) % share = which;  -- ids and types may alternate alike
            exit when stride = 1;
            page := page + stride;
        end loop;
    end loop;
end
$$;
