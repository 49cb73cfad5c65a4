-- What people are asked to decide, by `approval` nodes. The run that asks waits for the signal that deciding sends; the row
-- is what can be listed meanwhile, and what sees to it that there is one decision.

create table pgflow.approval (
    id           bigint      generated always as identity primary key,
    root_id      bigint      not null,
    task_id      bigint      not null,                          -- the task of the graph that waits
    node         text        not null collate "C" check (node <> ''),
    workflow     text        not null collate "C",
    title        text        not null,
    description  text,
    form         jsonb       not null default '{}',             -- a JSON Schema of what is filled in
    assignees    text[]      not null default '{}',             -- who may decide; nobody in it: anybody
    escalations  jsonb       not null default '[]',             -- [{"at", "assignees", "told"}]: who else may, when
    asked_at     timestamptz not null,
    due_at       timestamptz,                                   -- decided before then, or not at all
    state        text        not null default 'pending' check (state in ('pending', 'approved', 'rejected', 'expired')),
    decided_at   timestamptz,
    decided_by   text,
    answer       jsonb,                                         -- the form, filled in
    comment      text,
    unique (root_id, task_id, node),
    check ((state = 'pending') = (decided_at is null))
);
create index approval_pending on pgflow.approval (id) where state = 'pending';
