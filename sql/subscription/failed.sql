-- Guarantees: a failed delivery is counted, as far as that changes anything: the first one, one that was given up, one
-- that ends the subscription. It is disabled at once when `gone`, after `most` in a row that were given up, or when
-- nothing has come through for so many `seconds`. Returns why, if it was disabled just now.
-- Index: subscription_pkey.
with found as (
    select s.id, s.failures + %(given_up)s::boolean::integer as failures,
           coalesce(s.failing_since, n.now) as failing_since, n.now
      from (select pgflow.now() as now offset 0) n
     cross join lateral (select * from pgflow.subscription where id = %(subscription)s::bigint for update) s
     where s.disabled_at is null
), judged as (
    select f.*,
           case when %(gone)s::text is not null then %(gone)s::text
                when f.failures >= %(most)s::integer
                then format('the last %%s deliveries in a row were given up, the latest: %%s', f.failures, %(error)s::text)
                when f.failing_since < f.now - make_interval(secs => %(seconds)s::float8)
                then format('nothing has come through since %%s, the latest: %%s',
                            to_char(f.failing_since at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), %(error)s::text)
           end as why
      from found f
)
update pgflow.subscription s
   set failures = j.failures, failing_since = j.failing_since, disabled_why = j.why,
       disabled_at = case when j.why is not null then j.now end,
       changed_at = case when j.why is not null then j.now else s.changed_at end,
       actor = case when j.why is not null then 'pgflow' else s.actor end
  from judged j
 where s.id = j.id and (j.why is not null or (s.failures, s.failing_since) is distinct from (j.failures, j.failing_since))
returning s.disabled_why
