-- Guarantees: the schedule is as given, created or changed; one that is so already keeps its revision. Where its
-- timetable changed, only instants from now on count. With `create` an existing one is left alone. A pause stays, but
-- for the one made when its code no longer declared it.
-- Index: schedule_name_key.
with now as materialized (
    select pgflow.now() as now offset 0
), put as (
    insert into pgflow.schedule as s (name, start, cron, every, at, timezone, starts_at, ends_at, jitter, overlap,
                                      catch_up, next_at, source, created_at, changed_at, actor)
    select %(name)s::text, %(start)s::jsonb, %(cron)s::text, %(every)s::float8, %(at)s::timestamptz,
           %(timezone)s::text, %(starts_at)s::timestamptz, %(ends_at)s::timestamptz, %(jitter)s::float8,
           %(overlap)s::text, %(catch_up)s::integer,
           -- An interval is counted from when it was made, which is not yet an instant of it.
           coalesce(%(at)s::timestamptz, greatest(now.now + interval '1 us', %(starts_at)s::timestamptz)),
           %(source)s::text, now.now, now.now, %(actor)s::text
      from now
    on conflict (name) do update set
        start = excluded.start, cron = excluded.cron, every = excluded.every, at = excluded.at,
        timezone = excluded.timezone, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
        jitter = excluded.jitter, overlap = excluded.overlap, catch_up = excluded.catch_up,
        source = excluded.source, actor = excluded.actor, changed_at = excluded.changed_at, revision = s.revision + 1,
        next_at = case when (s.cron, s.every, s.at, s.timezone, s.starts_at, s.ends_at) is not distinct from
                            (excluded.cron, excluded.every, excluded.at, excluded.timezone, excluded.starts_at,
                             excluded.ends_at) and s.paused_by is distinct from '@code' then s.next_at
                       else excluded.next_at end,
        paused_at = case when s.paused_by is distinct from '@code' then s.paused_at end,
        paused_by = nullif(s.paused_by, '@code')
      where not %(create)s::boolean
        and ((s.start, s.cron, s.every, s.at, s.timezone, s.starts_at, s.ends_at, s.jitter, s.overlap, s.catch_up,
              s.source) is distinct from
             (excluded.start, excluded.cron, excluded.every, excluded.at, excluded.timezone, excluded.starts_at,
              excluded.ends_at, excluded.jitter, excluded.overlap, excluded.catch_up, excluded.source)
             or s.paused_by = '@code')
    returning s.id, s.revision, s.next_at
)
select case when p.revision = 1 then 'created' when p.revision > 1 then 'changed' else 'unchanged' end,
       pgflow.wake_leader(p.next_at)
  from now left join put p on true
