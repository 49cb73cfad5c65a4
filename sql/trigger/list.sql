-- Guarantees: triggers by name: all, those of a kind, or these alone.
-- Index: trigger_name_key.
select t.id, t.name, t.kind, t.path, t.event, t.start, t.filter, t.settings, t.paused_at, t.paused_by, t.source,
       t.revision, t.created_at, t.changed_at, t.actor
  from pgflow.trigger t
 where (%(names)s::text[] is null or t.name = any(%(names)s::text[]))
   and (%(kind)s::text is null or t.kind = %(kind)s::text)
 order by t.name
