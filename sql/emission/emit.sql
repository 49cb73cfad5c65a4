-- Guarantees: the event is written together with the task that tells of it, or, when the sender's own id was used for
-- that name before, not at all. Returns the event's id, its task's, whether it was written now, and whether what is
-- written under that id is the same. No plan here depends on the caller's settings.
-- Index: emission_given; the rest is inserts.
with given as materialized (
    select nextval('pgflow.task_id_seq') as task_id, pgflow.now() as now
), written as (
    insert into pgflow.emission as e (name, key, payload, given_id, task_id, at, actor)
    select %(name)s::text, %(key)s::text, %(payload)s::jsonb, %(given)s::text, g.task_id, g.now, %(actor)s::text
      from given g
    on conflict (name, given_id) where given_id is not null do update set name = e.name
    returning e.id, e.task_id, e.key, e.payload
)
select w.id, w.task_id, w.task_id = g.task_id,
       w.key is not distinct from %(key)s::text and w.payload = %(payload)s::jsonb,
       (select pgflow.enqueue(jsonb_build_array(jsonb_build_object(
                   'id', w.task_id, 'name', 'pgflow' || '.emit', 'queue', 'pgflow',
                   'input', jsonb_build_object('emission', w.id))), %(actor)s::text, %(consume)s::boolean)
         where w.task_id = g.task_id)
  from written w cross join given g
