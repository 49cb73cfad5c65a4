-- Guarantees: how many bulk/match would find, were it asked for all.
-- Index: as bulk/match.
select count(*)
  from pgflow.task_state s
 where (not %(runs)s::boolean or s.id = s.root_id and s.root_id > %(after)s::bigint and s.root_id <= %(upto)s::bigint)
   and s.state = any(%(states)s::pgflow.state[])
   and s.id > %(after)s::bigint and s.id <= %(upto)s::bigint
   and (%(name)s::text is null or s.name = %(name)s::text)
   and (%(queue)s::text is null or s.queue = %(queue)s::text)
   and (%(tags)s::jsonb is null or s.tags @> %(tags)s::jsonb)
   and (%(since)s::timestamptz is null or s.created_at >= %(since)s::timestamptz)
   and (%(until)s::timestamptz is null or s.created_at < %(until)s::timestamptz)
   and (%(ids)s::bigint[] is null or s.id = any(%(ids)s::bigint[]))
   and (s.name not like 'pgflow.%%' or s.name = %(name)s::text and s.name not like 'pgflow.bulk%%')
   and (%(paused)s::boolean is null
        or %(paused)s::boolean = exists (select from pgflow.paused_run p where p.root_id = s.root_id))
   and (%(names)s::text[] is null or exists (
           select from pgflow.task r where r.root_id = s.root_id and r.id = s.root_id
              and (r.name like any(%(names)s::text[]) or r.queue like any(%(queues)s::text[]))))
