-- Guarantees: these settings as they are in force on this connection, in the order asked.
-- Index: none, because it reads no table.
select current_setting(s.name) from unnest(%(names)s::text[]) with ordinality as s(name, position) order by s.position
