-- Guarantees: of each schedule whose last run has ended, the oldest pending instant is started; once, whoever does it.
-- Index: firing_pending, firing_started, firing_pkey, outcome_pkey; schedules that wait are few.
with waiting as (
    select distinct f.schedule_id from pgflow.firing f where f.state = 'pending'
), free as materialized (
    select w.schedule_id, p.fire_at, p.tid, p.input, s.name, s.start, nextval('pgflow.task_id_seq') as id
      from waiting w
     cross join lateral (
           select s.name, s.start from pgflow.schedule s
            where s.id = w.schedule_id and s.paused_at is null for no key update) s
     cross join lateral (
           select f.fire_at, f.input, f.ctid as tid from pgflow.firing f
            where f.schedule_id = w.schedule_id and f.state = 'pending' order by f.fire_at limit 1
              for update skip locked) p
     where not exists (
           select from (select f.root_id from pgflow.firing f
                         where f.schedule_id = w.schedule_id and f.state = 'started' and f.kind <> 'backfill'
                         order by f.fire_at desc limit 100) f
            where not exists (select from pgflow.outcome o where o.root_id = f.root_id and o.task_id = f.root_id))
), noted as (
    update pgflow.firing f set state = 'started', root_id = r.id, input = null, at = pgflow.now()
      from free r where f.ctid = r.tid
    returning r.id, r.input, r.name, r.start, r.fire_at
)
select count(*), pgflow.enqueue(jsonb_agg(n.start || jsonb_build_object('id', n.id, 'input', n.input,
                     'tags', coalesce(n.start -> 'tags', '{}') || jsonb_build_object('schedule', n.name))),
                     'schedule', true)
  from noted n having count(*) > 0
