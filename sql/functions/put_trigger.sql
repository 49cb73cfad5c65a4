-- Guarantees: the trigger is as given, created or changed; one that is so already keeps its revision. With `only_new` an
-- existing one is left alone. When another trigger has the path, also one that was only just given it, nothing is done
-- and that one's name is returned. A pause stays, but for the one made when its source no longer declared it.
-- Returns [created, changed or unchanged; who has the path].
-- Index: trigger_name_key, trigger_path_key.
create or replace function pgflow.put_trigger(given jsonb, only_new boolean, actor text) returns text[]
language plpgsql
set enable_seqscan = off
as $$
declare
    wanted pgflow.trigger := jsonb_populate_record(null::pgflow.trigger, given);
    at constant timestamptz := pgflow.now();
    revision integer;
    other text;
begin
    select t.name into other from pgflow.trigger t where t.path = wanted.path and t.name <> wanted.name;
    if other is not null then
        return array[null, other];
    end if;
    insert into pgflow.trigger as t (name, kind, path, event, start, filter, settings, source, created_at, changed_at,
                                     actor)
    values (wanted.name, wanted.kind, wanted.path, wanted.event, wanted.start, wanted.filter, wanted.settings,
            wanted.source, at, at, put_trigger.actor)
    on conflict (name) do update set
        kind = excluded.kind, path = excluded.path, event = excluded.event, start = excluded.start,
        filter = excluded.filter, settings = excluded.settings, source = excluded.source, actor = excluded.actor,
        changed_at = excluded.changed_at, revision = t.revision + 1,
        paused_at = case when t.paused_by is distinct from '@code' then t.paused_at end,
        paused_by = nullif(t.paused_by, '@code')
      where not only_new
        and ((t.kind, t.path, t.event, t.start, t.filter, t.settings, t.source) is distinct from
             (excluded.kind, excluded.path, excluded.event, excluded.start, excluded.filter, excluded.settings,
              excluded.source)
             or t.paused_by = '@code')
    returning t.revision into revision;
    return array[case when revision = 1 then 'created' when revision > 1 then 'changed' else 'unchanged' end, null];
exception when unique_violation then
    select t.name into other from pgflow.trigger t where t.path = wanted.path and t.name <> wanted.name;
    if other is null then
        raise;
    end if;
    return array[null, other];
end
$$;
