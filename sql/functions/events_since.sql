-- Guarantees: the events since then, or, where those lie on more than `most` pages of 8 kB, all events of so many pages,
-- spread evenly. `weight` is for how many events each stands: 1 when all were read. So it costs the same however much
-- happened, and is exact where little did.
-- Events are only ever appended, so that they lie in each partition nearly in the order of their times: the first page
-- that counts is found by halving. Partitions that rest since before then are not looked at.
-- Index: none, because events are not indexed by time; pages are read by their number.
create or replace function pgflow.events_since(since timestamptz, most integer default 2000)
returns table (root_id bigint, task_id bigint, id bigint, type pgflow.event_type, attempt smallint, at timestamptz,
               weight float8)
language plpgsql
set enable_seqscan = off
set max_parallel_workers_per_gather = 0
as $$
declare
    slack constant integer := 16;  -- pages by which a long transaction's events may lie out of order
    reading constant text := 'select e.root_id, e.task_id, e.id, e.type, e.attempt, e.at, $4 from pgflow.event e
        where e.root_id >= %s and e.root_id < %s and e.at >= $1 and e.ctid >= $2 and e.ctid < $3';
    looking constant text := 'select max(e.at) from pgflow.event e
        where e.root_id >= %s and e.root_id < %s and e.ctid >= $1 and e.ctid < $2';
    part record;
    low bigint;
    high bigint;
    middle bigint;
    latest timestamptz;
    pages bigint := 0;
    stride float8;
    page float8;
    lowers bigint[] := '{}';
    uppers bigint[] := '{}';
    firsts bigint[] := '{}';
    ends bigint[] := '{}';
begin
    for part in
        select p.lower, p.upper,
               pg_relation_size(to_regclass('pgflow.event_' || p.lower)) / current_setting('block_size')::bigint as size
          from pgflow.partition p
         where (p.idle_since is null or p.idle_since > since) and to_regclass('pgflow.event_' || p.lower) is not null
    loop
        low := 0;
        high := part.size;
        while low < high loop
            middle := (low + high) / 2;
            execute format(looking, part.lower, part.upper) into latest
              using format('(%s,0)', middle)::tid, format('(%s,0)', middle + 1)::tid;
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
    for number in 1 .. cardinality(lowers) loop
        if stride = 1 then
            return query execute format(reading, lowers[number], uppers[number])
                using since, format('(%s,0)', firsts[number])::tid, '(4294967294,0)'::tid, 1.0::float8;
            continue;
        end if;
        page := firsts[number] + random() * stride;
        while page < ends[number] loop
            return query execute format(reading, lowers[number], uppers[number])
                using since, format('(%s,0)', floor(page))::tid, format('(%s,0)', floor(page) + 1)::tid, stride;
            page := page + stride;
        end loop;
    end loop;
end
$$;
