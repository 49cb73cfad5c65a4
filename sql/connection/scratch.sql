-- Guarantees: there is another database on this server, for a developer's `sql` nodes; an error when there is one already.
-- Outside of transactions.
-- Index: none (catalog).
create database scratch
