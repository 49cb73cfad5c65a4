-- Guarantees: each of these instants that was never decided is started, by hand (manual) or for the past (backfill);
-- once, whoever asks. Returns those started.
-- Index: schedule_name_key, firing_pkey.
with asked as materialized (
    select s.id as schedule_id, s.name, s.start, u.fire_at, i.input, nextval('pgflow.task_id_seq') as id
      from unnest(%(fire_ats)s::timestamptz[]) with ordinality as u(fire_at, ord)
      join jsonb_array_elements(%(inputs)s::jsonb) with ordinality as i(input, ord) using (ord)
     cross join (select id, name, start from pgflow.schedule where name = %(name)s::text offset 0) s
), noted as (
    insert into pgflow.firing (schedule_id, fire_at, kind, state, root_id, at)
    select a.schedule_id, a.fire_at, %(kind)s::text, 'started', a.id, pgflow.now() from asked a order by a.fire_at
    on conflict (schedule_id, fire_at) do update set state = 'started', root_id = excluded.root_id, kind = excluded.kind,
        input = null, at = excluded.at
     where firing.state in ('missed', 'skipped')
    returning root_id, fire_at
)
select n.root_id, n.fire_at,
       (select pgflow.enqueue(jsonb_agg(a.start || %(more)s::jsonb || jsonb_build_object('id', a.id, 'input', a.input,
                   'tags', coalesce(a.start -> 'tags', '{}') || jsonb_build_object('schedule', a.name))
                   order by a.fire_at), %(actor)s::text, true)
          from noted n join asked a on a.id = n.root_id having count(*) > 0)
  from noted n order by n.fire_at
