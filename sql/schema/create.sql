-- Guarantees: the schema exists; nothing of ours ever lives outside it but roles.
-- Index: none.
create schema if not exists pgflow
