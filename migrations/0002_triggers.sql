-- What starts or wakes a run from outside: the clock (schedule), HTTP and application events (trigger, emission), and
-- what tells the outside (subscription). With the secrets that they need.
--
-- `start` is a request as pgflow.enqueue takes it: name, queue, priority, timeout, retry, slot, tags, input, ...

create table pgflow.schedule (
    id           bigint      generated always as identity primary key,
    name         text        not null unique collate "C" check (name <> ''),
    start        jsonb       not null check (start ? 'name'),   -- what it starts; the input may hold ${expressions}
    cron         text,
    every        float8      check (every > 0),                 -- seconds
    at           timestamptz,                                   -- one instant
    timezone     text        not null default 'UTC',
    starts_at    timestamptz,                                   -- fires from then on, and counts intervals from there
    ends_at      timestamptz,                                   -- fires before then
    jitter       float8      not null default 0 check (jitter >= 0),     -- seconds that a run may start later
    overlap      text        not null default 'allow' check (overlap in ('allow', 'skip', 'queue', 'cancel')),
    catch_up     integer     not null default 1 check (catch_up >= 0),   -- how many missed instants are made up for
    next_at      timestamptz,                                   -- no nominal instant before it is left; null: none at all
    paused_at    timestamptz,
    paused_by    text,
    source       text        not null default 'client',         -- who keeps it up to date: client, code, file
    revision     integer     not null default 1,                -- one more at each change
    created_at   timestamptz not null,
    changed_at   timestamptz not null,
    actor        text,
    check (num_nonnulls(cron, every, at) = 1)
);
create index schedule_next on pgflow.schedule (next_at) where next_at is not null and paused_at is null;

-- Each nominal instant of a schedule, once: whoever inserts the row has fired it.
create table pgflow.firing (
    schedule_id  bigint      not null references pgflow.schedule on delete cascade,
    fire_at      timestamptz not null,                          -- nominal
    kind         text        not null check (kind in ('scheduled', 'manual', 'backfill')),
    state        text        not null check (state in ('started', 'pending', 'skipped', 'missed')),
    root_id      bigint,                                        -- the run it started
    input        jsonb,                                         -- of a pending one: what its run will be given
    at           timestamptz not null,                          -- when that was decided
    primary key (schedule_id, fire_at),
    check ((state = 'started') = (root_id is not null)),
    check (state = 'pending' or input is null)
);
create index firing_pending on pgflow.firing (schedule_id, fire_at) where state = 'pending';
-- The runs that count for the overlap policy.
create index firing_started on pgflow.firing (schedule_id, fire_at) where state = 'started' and kind <> 'backfill';
create index firing_run on pgflow.firing (root_id) where root_id is not null;

-- What is started by an HTTP request (webhook) or by an application event (event).
create table pgflow.trigger (
    id           bigint      generated always as identity primary key,
    name         text        not null unique collate "C" check (name <> ''),
    kind         text        not null check (kind in ('webhook', 'event')),
    path         text        unique collate "C",                -- of a webhook, below /hooks/
    event        text        collate "C",                       -- an application event's name
    start        jsonb       not null check (start ? 'name'),
    filter       text,                                          -- an expression; null: everything passes
    settings     jsonb       not null default '{}',
    paused_at    timestamptz,
    paused_by    text,
    source       text        not null default 'client',
    revision     integer     not null default 1,
    created_at   timestamptz not null,
    changed_at   timestamptz not null,
    actor        text,
    check ((kind = 'webhook') = (path is not null)),
    check ((kind = 'event') = (event is not null))
);
create index trigger_event on pgflow.trigger (event) where event is not null;

-- An application event, kept for as long as a run may still ask for what happened before it waited.
create table pgflow.emission (
    id           bigint      generated always as identity primary key,
    name         text        not null collate "C" check (name <> ''),
    key          text        collate "C" check (key <> ''),
    payload      jsonb       not null,
    given_id     text        collate "C" check (given_id <> ''),   -- the sender's own: emitted once
    task_id      bigint      not null,                          -- the run of pgflow.emit that tells of it
    at           timestamptz not null,
    actor        text
);
create unique index emission_given on pgflow.emission (name, given_id) where given_id is not null;
create index emission_key on pgflow.emission (name, key, at, id) where key is not null;
-- Of all rows, and yet partial: while the table looks empty, whoever looks for a key would be given this one as well.
create index emission_name on pgflow.emission (name, at, id) where id > 0;

-- A workflow that waits for an application event. Whoever tells it of one removes the row.
create table pgflow.awaited (
    root_id      bigint      not null,
    task_id      bigint      not null,
    step         text        not null collate "C",              -- what the wait is recorded under
    name         text        not null collate "C",
    key          text        collate "C",                       -- null: whatever its key
    match        text,                                          -- an expression; null: every event of that name and key
    bound        jsonb,                                         -- what the expression may name beside the event
    since        timestamptz not null,                          -- events from before then are not meant
    primary key (task_id, step)
);
create index awaited_name on pgflow.awaited (name, key, task_id, step);

-- Who is told of lifecycle events.
create table pgflow.subscription (
    id            bigint      generated always as identity primary key,
    name          text        not null unique collate "C" check (name <> ''),
    types         text[]      not null check (cardinality(types) > 0),  -- patterns of event types, such as workflow.*
    kinds         pgflow.event_type[] not null,                 -- what they match; a migration that adds types looks again
    names         text[],                                       -- patterns of workflows and tasks; null: all
    runs_only     boolean     not null default false,           -- nothing of tasks within a run
    url           text        not null,                         -- or ${secrets.NAME}, which holds it
    slot          text        not null,                         -- whose deliveries take turns: the host
    format        text        not null default 'webhook'
                  check (format in ('webhook', 'chat', 'slack', 'discord', 'teams', 'email')),
    secrets       text[]      not null default '{}',            -- names of secrets that sign, all of them
    failures      integer     not null default 0,               -- deliveries in a row that were given up
    failing_since timestamptz,                                  -- nothing was delivered since
    disabled_at   timestamptz,
    disabled_why  text,
    revision      integer     not null default 1,
    created_at    timestamptz not null,
    changed_at    timestamptz not null,
    actor         text,
    check ((disabled_at is null) = (disabled_why is null))
);
create index subscription_enabled on pgflow.subscription (id) where disabled_at is null;

-- Secrets, sealed: what they say is known only to whoever has the key.
create table pgflow.secret (
    name         text        primary key collate "C" check (name <> ''),
    sealed       bytea       not null,
    key_id       text        not null,                          -- which key seals it
    version      integer     not null default 1,
    created_at   timestamptz not null,
    changed_at   timestamptz not null,
    actor        text
);
