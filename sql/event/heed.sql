-- Guarantees: see the function. For who leaves a row in pgflow.idle in the same transaction.
-- Index: none, because it reads no table.
select pgflow.heed()
