-- Guarantees: events, newest first, with what became of the task that tells of each (null: it is gone).
-- Index: emission_pkey, backwards, until enough fit: for people, who ask for few.
select e.id, e.name, e.key, e.given_id, e.at, e.payload, e.actor, e.task_id,
       (select s.state::text from pgflow.task_state s where s.root_id = e.task_id and s.id = e.task_id)
  from pgflow.emission e
 where (%(name)s::text is null or e.name = %(name)s::text)
   and (%(key)s::text is null or e.key = %(key)s::text)
   and (%(before)s::bigint is null or e.id < %(before)s::bigint)
 order by e.id desc limit %(limit)s::integer
