-- Guarantees: an outcome never changes, and goes only by pgflow.reopen, which allows itself with a setting.
-- Index: none, because it looks at the row in hand.
create or replace function pgflow.outcome_is_final() returns trigger
language plpgsql
as $$
begin
    if tg_op = 'DELETE' and current_setting('pgflow.reopen', true) = 'on' then
        return old;
    end if;
    raise exception 'the outcome of task % is final', old.task_id
        using errcode = 'PF001', hint = 'Revive it with: pgflow task redrive ' || old.task_id;
end
$$;

create or replace trigger outcome_is_final before update or delete on pgflow.outcome
    for each row execute function pgflow.outcome_is_final();
