-- Guarantees: the subscription is as given, created or changed; one that is so already keeps its revision, and one that
-- is disabled stays so. With `create` an existing one is left alone. With the first one the queue of deliveries is limited
-- per host, unless somebody has limited it otherwise.
-- Index: subscription_name_key, limit_pkey.
with put as (
    insert into pgflow.subscription as s (name, types, kinds, names, runs_only, url, slot, format, secrets,
                                          created_at, changed_at, actor)
    values (%(name)s::text, %(types)s::text[],
            array(select k from unnest(enum_range(null::pgflow.event_type)) k
                   where exists (select from unnest(%(types)s::text[]) p
                                  where k::text like replace(replace(p, '_', '\_'), '*', '%%'))),
            %(names)s::text[], %(runs_only)s::boolean, %(url)s::text, %(slot)s::text,
            %(format)s::text, %(secrets)s::text[], pgflow.now(), pgflow.now(), %(actor)s::text)
    on conflict (name) do update set
        types = excluded.types, kinds = excluded.kinds, names = excluded.names, runs_only = excluded.runs_only, url = excluded.url,
        slot = excluded.slot, format = excluded.format, secrets = excluded.secrets, actor = excluded.actor,
        changed_at = excluded.changed_at, revision = s.revision + 1
      where not %(create)s::boolean
        and (s.types, s.kinds, s.names, s.runs_only, s.url, s.slot, s.format, s.secrets) is distinct from
            (excluded.types, excluded.kinds, excluded.names, excluded.runs_only, excluded.url, excluded.slot,
             excluded.format, excluded.secrets)
    returning s.revision
), limited as (
    insert into pgflow.limit (queue, concurrency, slot_concurrency, set_at, set_by)
    select %(queue)s::text, %(concurrency)s::integer, %(slot_concurrency)s::integer, pgflow.now(), 'pgflow'
     where not exists (select from pgflow.subscription)
    on conflict (queue) do nothing
)
select case when p.revision = 1 then 'created' when p.revision > 1 then 'changed' else 'unchanged' end
  from (values (1)) one(row) left join put p on true
