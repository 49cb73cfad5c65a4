-- Guarantees: the secret is the first that this webhook is checked with; of those before it so many stay. Whoever
-- rotates meanwhile as well waits, and is heeded. Returns the secrets that it has now; no row: there is no such webhook.
-- Index: trigger_name_key.
update pgflow.trigger t
   set settings = jsonb_set(t.settings, '{secrets}', jsonb_build_array(%(secret)s::text) || coalesce((
           select jsonb_agg(to_jsonb(o.name) order by o.ord)
             from (select s.name, s.ord
                     from jsonb_array_elements_text(coalesce(t.settings -> 'secrets', '[]')) with ordinality as s(name, ord)
                    where s.name <> %(secret)s::text order by s.ord limit %(keep)s::integer) o), '[]')),
       revision = t.revision + 1, changed_at = pgflow.now(), actor = %(actor)s::text
 where t.name = %(name)s::text and t.kind = 'webhook'
returning t.settings -> 'secrets'
