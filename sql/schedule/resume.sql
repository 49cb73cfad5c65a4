-- Guarantees: these schedules fire again, from now on: what they passed over while paused is not made up for. Returns
-- those that were paused.
-- Index: schedule_name_key.
with resumed as (
    update pgflow.schedule s
       set paused_at = null, paused_by = null,
           next_at = case when s.at is not null then s.next_at else greatest(s.next_at, c.now) end
      from (select pgflow.now() as now offset 0) c
     where s.name = any(%(names)s::text[]) and s.paused_at is not null
    returning s.name, s.next_at
)
select r.name, pgflow.wake_leader(r.next_at) from resumed r order by r.name
