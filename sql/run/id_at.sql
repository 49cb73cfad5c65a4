-- Guarantees: about where, among the ids of runs, those between two instants begin and end; null where none is given.
-- Index: task_pkey, within pgflow.id_at.
select case when %(since)s::timestamptz is not null
            then greatest(0, pgflow.id_at(%(since)s::timestamptz - interval '5 minutes') - 1000) end,
       case when %(until)s::timestamptz is not null
            then pgflow.id_at(%(until)s::timestamptz + interval '5 minutes') + 2000 end
