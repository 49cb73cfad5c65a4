-- Guarantees: every step ever applied to this schema.
-- Index: none, because the ledger has a few dozen rows.
select version, name, checksum from pgflow.migration order by version, name
