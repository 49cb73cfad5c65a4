-- Guarantees: schedules by name, or these alone, with the last run that each started.
-- Index: schedule_name_key, firing_started.
select s.id, s.name, s.start, s.cron, s.every, s.at, s.timezone, s.starts_at, s.ends_at, s.jitter, s.overlap,
       s.catch_up, s.next_at, s.paused_at, s.paused_by, s.source, s.revision, s.created_at, s.changed_at, s.actor,
       l.fire_at, l.root_id, pgflow.now()
  from pgflow.schedule s
  left join lateral (
       select f.fire_at, f.root_id from pgflow.firing f
        where f.schedule_id = s.id and f.state = 'started' and f.kind <> 'backfill'
        order by f.fire_at desc limit 1) l on true
 where %(names)s::text[] is null or s.name = any(%(names)s::text[])
 order by s.name
