-- Guarantees: the step is noted in the transaction that applied it.
-- Index: migration_pkey.
insert into pgflow.migration (version, name, checksum, applied_at)
values (%(version)s::integer, %(name)s::text, %(checksum)s::text, clock_timestamp())
on conflict (name) do update set checksum = excluded.checksum, applied_at = excluded.applied_at
