-- Guarantees: each of these nominal instants is decided once, for ever: its row in `firing` and the run it starts are
-- written together, and with them where its schedule goes on. A schedule that was changed, paused, removed or decided
-- by another meanwhile is left alone, whoever leads. By its overlap policy an instant starts a run, waits for the one
-- before it (pending), or is passed over. Locks: schedules by id.
-- Index: schedule_pkey, firing_pkey, firing_started, outcome_pkey.
with asked as materialized (
    select s.id, s.name, s.start, s.overlap, s.jitter, s.tid, a.next_at
      from (select * from unnest(%(ids)s::bigint[], %(revisions)s::integer[], %(looked_at)s::timestamptz[],
                                 %(nexts)s::timestamptz[]) as a(id, revision, looked_at, next_at) order by a.id) a
     cross join lateral (
           select s.id, s.name, s.start, s.overlap, s.jitter, s.ctid as tid from pgflow.schedule s
            where s.id = a.id and s.revision = a.revision and s.next_at = a.looked_at and s.paused_at is null
              for no key update) s
), advanced as (
    update pgflow.schedule s set next_at = a.next_at from asked a where s.ctid = a.tid
), busy as materialized (
    select a.id, exists (
           select from pgflow.firing f
            where f.schedule_id = a.id and f.state = 'pending'
           union all
           select from (select f.root_id from pgflow.firing f
                         where f.schedule_id = a.id and f.state = 'started' and f.kind <> 'backfill'
                         order by f.fire_at desc limit 100) f
            where not exists (select from pgflow.outcome o where o.root_id = f.root_id and o.task_id = f.root_id)) as busy
      from asked a where a.overlap in ('skip', 'queue')
), decided as materialized (
    select f.schedule_id, f.fire_at, f.input, a.name, a.start, a.jitter, nextval('pgflow.task_id_seq') as id,
           case when f.missed then 'missed'
                when a.overlap = 'allow' then 'started'
                when a.overlap = 'cancel' then
                     case when f.fire_at = max(f.fire_at) over w then 'started' else 'skipped' end
                when not b.busy and f.fire_at = min(f.fire_at) filter (where not f.missed) over w then 'started'
                when a.overlap = 'skip' then 'skipped'
                else 'pending' end as state
      from unnest(%(schedules)s::bigint[], %(fire_ats)s::timestamptz[], %(missed)s::boolean[])
           with ordinality as u(schedule_id, fire_at, missed, ord)
      join jsonb_array_elements(%(inputs)s::jsonb) with ordinality as i(input, ord) using (ord)
     cross join lateral (select u.schedule_id, u.fire_at, u.missed, i.input) f
      join asked a on a.id = f.schedule_id
      left join busy b on b.id = f.schedule_id
    window w as (partition by f.schedule_id)
), noted as (
    insert into pgflow.firing (schedule_id, fire_at, kind, state, root_id, input, at)
    select d.schedule_id, d.fire_at, 'scheduled', d.state, case when d.state = 'started' then d.id end,
           case when d.state = 'pending' then d.input end, pgflow.now()
      from decided d order by d.schedule_id, d.fire_at
    on conflict do nothing
    returning schedule_id, fire_at, state, root_id
), started as materialized (
    select d.*, d.jitter * (abs(hashtextextended(d.name, extract(epoch from d.fire_at)::bigint)) %% 1000003) / 1000003
           as later
      from noted n join decided d on d.id = n.root_id
)
select n.schedule_id, n.fire_at, n.state, n.root_id,
       (select pgflow.enqueue(jsonb_agg(s.start || jsonb_build_object(
                   'id', s.id, 'input', s.input,
                   'due_at', to_jsonb((s.fire_at + make_interval(secs => s.later)) at time zone 'UTC') #>> '{}' || 'Z',
                   'tags', coalesce(s.start -> 'tags', '{}') || jsonb_build_object('schedule', s.name))
                   order by s.fire_at), 'schedule', true)
          from started s having count(*) > 0)
  from noted n
