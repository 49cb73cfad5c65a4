-- Guarantees: the webhook trigger of this path, if there is one, with those of its secrets that are stored, sealed.
-- Index: trigger_path_key, secret_pkey: rows by their keys, for this is asked at each request.
select t.id, t.name, t.kind, t.path, t.event, t.start, t.filter, t.settings, t.paused_at, t.paused_by, t.source,
       t.revision, t.created_at, t.changed_at, t.actor, s.names, s.sealed, s.keys
  from pgflow.trigger t
 cross join lateral (
       select array_agg(s.name) as names, array_agg(s.sealed) as sealed, array_agg(s.key_id) as keys
         from jsonb_array_elements_text(coalesce(t.settings -> 'secrets', '[]')) as n(name)
        cross join lateral (select s.name, s.sealed, s.key_id from pgflow.secret s where s.name = n.name offset 0) s) s
 where t.path = %(path)s::text
