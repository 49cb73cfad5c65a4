-- Guarantees: the ledger of applied steps exists. It comes before the first migration, so it is made by itself.
-- Index: none, because it reads no table.
create table if not exists pgflow.migration (
    version    integer,
    name       text        primary key,
    checksum   text        not null,
    applied_at timestamptz not null
)
