-- Definitions of graphs: what is published, and what is being written.

-- The order of fields is kept as it was written: forms show them, and a switch tries its cases, in that order.
alter table pgflow.definition alter column document type json;

-- What somebody works on. It need not make sense yet.
create table pgflow.draft (
    name         text        primary key collate "C" check (name <> ''),
    document     json        not null,
    revision     integer     not null default 1,                -- one more at each change
    base         integer     not null,                          -- the version it was begun from; 0: there was none
    created_at   timestamptz not null,
    changed_at   timestamptz not null,
    actor        text
);
