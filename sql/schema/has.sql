-- Guarantees: the checksum with which this step was applied, if it was; read under the migrator's lock.
-- Index: migration_pkey.
select checksum from pgflow.migration where name = %(name)s::text
