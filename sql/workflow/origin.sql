-- Guarantees: what is changed in this transaction is known to come from this run, which table triggers look at. A SET,
-- because it takes no snapshot: the caller may still choose the transaction's isolation.
-- Index: none, because it reads nothing.
set local pgflow.origin = %(run)s
