-- Guarantees: what the request that a key stands for is known by: the same for equal inputs, whoever asks and in
-- whatever order their fields come; null without a key. Of jsonb's own text, so that SQL and Python say the same.
-- Index: none, because it reads nothing.
create or replace function pgflow.request_hash(key text, input jsonb) returns bytea
language sql immutable parallel safe
as $$
    select case when key is not null then sha256(convert_to(input::text, 'UTF8')) end
$$;
