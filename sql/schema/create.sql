-- Guarantees: the schema exists; nothing of ours ever lives outside it but roles.
-- Index: none, because it reads no table.
create schema if not exists pgflow
