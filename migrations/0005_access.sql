-- Who may use the REST API, and what was changed by whom. Of tokens, passwords and sessions only a hash is kept: what is
-- stored here lets nobody in.

create table pgflow.user (
    id          bigint      generated always as identity primary key,
    name        text        not null unique collate "C" check (name <> ''),
    role        text        not null check (role in ('viewer', 'operator', 'admin')),
    scopes      text[]      check (cardinality(scopes) > 0),    -- such as workflow:orders.* or queue:mail; null: everything
    password    text,                                           -- an argon2 hash; null: signs in elsewhere
    subject     text        unique,                             -- issuer and subject of who signs in elsewhere
    created_at  timestamptz not null,
    created_by  text
);

create table pgflow.token (
    id          bigint      generated always as identity primary key,
    name        text        not null collate "C" check (name <> ''),
    shown       text        not null,                           -- its first characters, to know it by
    hash        bytea       not null unique,
    role        text        not null check (role in ('viewer', 'operator', 'admin')),
    scopes      text[]      check (cardinality(scopes) > 0),
    created_at  timestamptz not null,
    created_by  text,
    expires_at  timestamptz,                                    -- null: never
    used_at     timestamptz,                                    -- within a minute
    revoked_at  timestamptz,
    revoked_by  text,
    check ((revoked_at is null) <= (revoked_by is null))
) with (fillfactor = 70);
create unique index token_name on pgflow.token (name) where revoked_at is null;

-- Who is signed in to the dashboard.
create table pgflow.session (
    hash        bytea       primary key,
    user_id     bigint      not null references pgflow.user on delete cascade,
    created_at  timestamptz not null,
    expires_at  timestamptz not null,
    address     text
);
create index session_of_user on pgflow.session (user_id);
create index session_expires on pgflow.session (expires_at);

-- What was changed, written in the very transaction that changed it.
create table pgflow.audit_entry (
    id          bigint      generated always as identity primary key,
    at          timestamptz not null,
    actor       text        not null,                           -- such as token:deploy or user:ann
    address     text,
    request_id  text,
    action      text        not null collate "C" check (action <> ''),  -- such as run.cancel
    target      text        collate "C",                        -- such as run:17 or queue:mail
    before      jsonb,
    after       jsonb
);
create index audit_entry_target on pgflow.audit_entry (target, id);
create index audit_entry_actor on pgflow.audit_entry (actor, id);
