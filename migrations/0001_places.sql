-- The first schema: what was asked for (task), where each task is now (the places), how it ended (outcome),
-- and what happened (event). ARCHITECTURE.md explains the idea; docs/state-machine.md draws the moves.
--
-- Facts (task, outcome, event) are inserted once and never updated; they are partitioned by root_id, so that old
-- history is dropped whole, and every key of theirs leads with root_id because a unique key must hold the
-- partition key. Places are narrow, short-lived rows; only they churn, so only they carry autovacuum settings.

create type pgflow.state as enum (
    'queued', 'running', 'scheduled', 'retrying', 'sleeping', 'waiting', 'throttled', 'paused', 'needs_attention',
    'completed', 'failed', 'cancelled', 'skipped');

create type pgflow.event_type as enum (
    'task.started', 'task.completed', 'task.failed', 'task.retried', 'task.cancelled', 'task.skipped', 'task.released',
    'task.redriven', 'task.paused', 'task.resumed', 'lease.expired', 'timer.created', 'timer.fired', 'step.completed',
    'step.retried', 'step.failed', 'signal.received', 'workflow.started', 'workflow.continued', 'workflow.parked',
    'workflow.cancelling', 'workflow.forked', 'workflow.finished', 'node.started', 'node.completed', 'node.failed',
    'node.skipped', 'approval.requested', 'approval.escalated');

-- ---------------------------------------------------------------------------------------------------- history

create sequence pgflow.task_id_seq;

create table pgflow.task (
    id          bigint      not null default nextval('pgflow.task_id_seq'),
    root_id     bigint      not null,
    parent_id   bigint,
    name        text        not null collate "C" check (name <> ''),
    queue       text        not null collate "C" check (queue <> ''),
    priority    smallint    not null check (priority between 0 and 3),
    input       jsonb       not null,
    size        integer,                            -- bytes of a bulky input, which travels alone; null: not bulky
    created_at  timestamptz not null,
    due_at      timestamptz,                        -- not to start before; null: at once
    timeout     interval    check (timeout > interval '0'),
    retry       jsonb,                              -- a retry policy of its own; null: the registered task's
    key         text        collate "C",            -- the key it was started with, unique within its name
    step        text        collate "C",            -- its name within the parent: step key or node
    slot        text        collate "C",            -- whose share of a limited queue it takes, such as a customer's
    tags        jsonb,
    actor       text,
    trace       text,                               -- W3C traceparent of whoever asked
    xid         xid8        not null default pg_current_xact_id(),
    primary key (root_id, id),
    check ((parent_id is null) = (root_id = id))
) partition by range (root_id);

create index task_child on pgflow.task (id) where parent_id is not null;
-- A parent has one child a step: spawning it again, after a crash, is refused.
create unique index task_step on pgflow.task (root_id, parent_id, step) where parent_id is not null;
-- With the id beside it, the runs of a key come the newest first, however many there are: eight bytes a run that has one.
create index task_key on pgflow.task (key, id) where key is not null;
-- The runs of one workflow, newest first. Costs each run a microsecond and 110 bytes of WAL; children nothing.
create index task_run on pgflow.task (name, id) where parent_id is null;

create table pgflow.outcome (
    root_id     bigint       not null,
    task_id     bigint       not null,
    parent_id   bigint,
    state       pgflow.state not null check (state in ('completed', 'failed', 'cancelled', 'skipped')),
    attempt     smallint     not null,
    output      jsonb,
    error       jsonb,
    finished_at timestamptz  not null,
    primary key (root_id, task_id),
    check ((state = 'failed') = (error is not null)),
    check (output is null or state = 'completed')
) partition by range (root_id);

-- A full index on state would cost every completed task; these cost only the rare states.
create index outcome_failed on pgflow.outcome (task_id) where state = 'failed';
create index outcome_cancelled on pgflow.outcome (task_id) where state = 'cancelled';
create index outcome_skipped on pgflow.outcome (task_id) where state = 'skipped';
-- Runs by when they ended. It grows at one end, at 75 bytes of WAL a run.
create index outcome_finished on pgflow.outcome (finished_at, task_id) where parent_id is null;
create index outcome_parent on pgflow.outcome (root_id, parent_id) where parent_id is not null;

create sequence pgflow.event_id_seq;

create table pgflow.event (
    id          bigint            not null default nextval('pgflow.event_id_seq'),
    root_id     bigint            not null,
    task_id     bigint            not null,
    type        pgflow.event_type not null,
    attempt     smallint,
    at          timestamptz       not null,
    xid         bigint            not null default txid_current(), -- pg_current_xact_id(), as what BRIN can index
    worker_id   bigint,
    key         text              collate "C",
    actor       text,
    data        jsonb,
    primary key (root_id, id),
    check ((type in ('step.completed', 'step.retried', 'step.failed', 'workflow.started', 'workflow.continued',
                     'signal.received', 'node.started', 'node.completed', 'node.failed', 'node.skipped',
                     'approval.requested', 'approval.escalated'))
           <= (key is not null))
) partition by range (root_id);

-- The database itself refuses to record a step twice. With what else a workflow decides once: its start in each
-- generation, when a timer is due, what became of a node.
create unique index event_step on pgflow.event (root_id, task_id, key, type)
    where type in ('step.completed', 'timer.created', 'workflow.started', 'workflow.continued', 'node.started',
                   'node.completed', 'node.failed', 'node.skipped');
-- The failed tries of steps; attempt is the try's number.
create unique index event_try on pgflow.event (root_id, task_id, key, attempt)
    where type in ('step.retried', 'step.failed');
-- What else a replay must know.
create index event_mark on pgflow.event (root_id, task_id, id)
    where type in ('signal.received', 'workflow.cancelling', 'workflow.forked', 'task.redriven');

-- In which order events became final (sql/functions/events_after.sql). A btree would cost each event three quarters of a
-- microsecond and 75 bytes of WAL; this costs next to nothing, because events lie on disk nearly in that order.
create index event_cursor on pgflow.event using brin (xid) with (pages_per_range = 128);

create table pgflow.partition (
    lower         bigint      primary key,
    upper         bigint      not null check (upper > lower),
    made_at       timestamptz not null,
    first_used_at timestamptz,                      -- when the leader first saw ids given out in it
    idle_since    timestamptz                       -- when the leader first found it passed and without a live run
);

-- ----------------------------------------------------------------------------------------------------- places

create table pgflow.ready (
    seq         bigint   not null generated always as identity,
    queue       text     not null collate "C",
    priority    smallint not null,
    task_id     bigint   primary key,
    root_id     bigint   not null,
    attempt     smallint not null check (attempt > 0),
    crashes     smallint not null check (crashes >= 0),
    slot        text     collate "C"                -- admitted by a limit, which counts it; null: not limited
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index ready_lane on pgflow.ready (queue, priority, seq);
create index ready_slot on pgflow.ready (queue, slot) where slot is not null;

create table pgflow.lease (
    task_id     bigint      primary key,
    root_id     bigint      not null,
    parent_id   bigint,
    epoch       bigint      not null,
    attempt     smallint    not null check (attempt > 0),
    crashes     smallint    not null check (crashes > 0),
    worker_id   bigint      not null,
    claimed_at  timestamptz not null,
    deadline    timestamptz,
    queue       text        collate "C",            -- with slot: of a limited task; null otherwise
    slot        text        collate "C",
    check ((queue is null) = (slot is null))
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
-- With the task beside the worker it is as good for a lease named by both as the primary key: while the table looks
-- tiny, a plan may take either, and keeps it when a thousand rows are there.
create index lease_worker on pgflow.lease (worker_id, task_id);
create index lease_deadline on pgflow.lease (deadline) where deadline is not null;
create index lease_slot on pgflow.lease (queue, slot) where slot is not null;

create table pgflow.delayed (
    task_id     bigint       primary key,
    root_id     bigint       not null,
    due_at      timestamptz  not null,
    reason      pgflow.state not null check (reason in ('scheduled', 'retrying', 'sleeping')),
    attempt     smallint     not null check (attempt > 0),
    crashes     smallint     not null check (crashes >= 0)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
create index delayed_due on pgflow.delayed (due_at);
create index delayed_reason on pgflow.delayed (reason, task_id);

-- A task waits if and only if needed > arrived. `added` and `suspended` tell what the last upsert did, so that
-- whoever makes `arrived` cross `needed` can see it from the returned row alone.
create table pgflow.inbox (
    task_id     bigint   primary key,
    root_id     bigint,
    arrived     integer  not null default 0 check (arrived >= 0),
    needed      integer,
    wake_at     timestamptz,
    attempt     smallint,
    crashes     smallint,
    added       integer  not null default 0,
    suspended   boolean  not null default false,
    check (needed is null or (root_id is not null and attempt is not null and crashes is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
create index inbox_wake on pgflow.inbox (wake_at) where wake_at is not null;

create table pgflow.throttled (
    task_id     bigint   primary key,
    root_id     bigint   not null,
    seq         bigint   not null generated always as identity,
    queue       text     not null collate "C",
    slot        text     not null collate "C",
    priority    smallint not null,
    attempt     smallint not null check (attempt > 0),
    crashes     smallint not null check (crashes >= 0)
);
create index throttled_turn on pgflow.throttled (queue, slot, priority, seq);

create table pgflow.parked (
    task_id     bigint       primary key,
    root_id     bigint       not null,
    reason      pgflow.state not null check (reason in ('paused', 'needs_attention')),
    since       timestamptz  not null,
    actor       text,
    detail      jsonb,
    attempt     smallint     not null check (attempt > 0),
    crashes     smallint     not null check (crashes >= 0)
);
create index parked_run on pgflow.parked (root_id);

-- ------------------------------------------------------------------------------------------------- registries

create table pgflow.queue (
    name        text        primary key collate "C" check (name <> ''),
    paused_at   timestamptz,
    paused_by   text,
    ageing      float8      check (ageing > 0),     -- seconds after which a waiting task is one priority more urgent
    created_at  timestamptz not null
);

-- What a queue is limited to. Slots taken are not counted anywhere: it is the row in ready or lease that takes one, so
-- none can leak.
create table pgflow.limit (
    queue            text    primary key collate "C",
    concurrency      integer check (concurrency > 0),      -- ready and running at once, in all
    rate             float8  check (rate > 0),             -- starts a second, in all
    burst            float8  not null default 1 check (burst >= 1),
    slot_concurrency integer check (slot_concurrency > 0), -- the same for each slot
    slot_rate        float8  check (slot_rate > 0),
    slot_burst       float8  not null default 1 check (slot_burst >= 1),
    turn             float8  not null default 0,           -- virtual time: the turn last given
    arrives_at       timestamptz,                          -- theoretical arrival time of the next start (GCRA)
    open_at          timestamptz,                          -- when the rate allows the next one; null: not held by it
    set_at           timestamptz not null,
    set_by           text
) with (fillfactor = 50);

-- Whose turn it is: one row a slot that has tasks waiting, or has had of late.
create table pgflow.turn (
    queue       text        not null collate "C",
    slot        text        not null collate "C",
    turn        float8      not null,               -- start tag of its next task: the smaller, the earlier
    waiting     boolean     not null,               -- it has tasks in throttled
    filled      boolean     not null default false, -- it takes as many as it may; opened when one of them ends
    arrives_at  timestamptz,
    open_at     timestamptz,
    primary key (queue, slot)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
create index turn_next on pgflow.turn (queue, turn) where waiting and not filled and open_at is null;
create index turn_open on pgflow.turn (open_at) where open_at is not null;

-- Slots for which tasks were throttled since their queue was last admitted from.
create table pgflow.newcomer (
    queue       text        not null collate "C",
    slot        text        not null collate "C"
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
create index newcomer_queue on pgflow.newcomer (queue);

create table pgflow.lane (
    queue       text     not null collate "C",
    priority    smallint not null,
    safe        bigint   not null,                  -- nothing below it is or will become visible in ready
    primary key (queue, priority)
);

create table pgflow.worker (
    id          bigint      primary key,            -- random, new at every start of an executor process
    host        text        not null,
    pid         integer     not null,
    version     text        not null,
    queues      text[]      not null,
    tasks       text[]      not null,
    concurrency integer     not null check (concurrency > 0),
    started_at  timestamptz not null,
    seen_at     timestamptz not null,
    lease_until timestamptz not null,
    closed_at   timestamptz,                        -- ended in order, or reaped: it can never renew again
    closed_why  text,
    running     integer     not null default 0,
    floors      jsonb       not null default '{}',  -- {queue: [floor of priority 0, 1, 2, 3]}
    check ((closed_at is null) = (closed_why is null))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
create index worker_closed on pgflow.worker (closed_at) where closed_at is not null;

-- Who has nothing to do and would like to be woken. Consumed by whoever makes a task ready.
create table pgflow.idle (
    queue       text        not null collate "C",
    until       timestamptz not null,               -- by then its owner has looked again by itself
    channel     text        not null
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
create index idle_queue on pgflow.idle (queue, until);

-- Whether anybody waits for events: 2 while somebody may (sql/functions/heed.sql).
create sequence pgflow.attention;

-- What a heart still has to tell its executors.
create table pgflow.cancellation (
    worker_id   bigint      not null,
    task_id     bigint      not null,
    epoch       bigint      not null,
    at          timestamptz not null,
    primary key (worker_id, task_id, epoch)
);

create table pgflow.leader (
    one         boolean     primary key default true check (one),
    term        bigint      not null,
    host        text        not null,
    pid         integer     not null,
    backend_pid integer     not null,
    since       timestamptz not null,
    seen_at     timestamptz not null
) with (fillfactor = 50);

create table pgflow.idempotency (
    scope        text        not null collate "C",
    key          text        not null collate "C" check (key <> ''),
    task_id      bigint      not null,
    root_id      bigint      not null,
    request_hash bytea       not null,
    expires_at   timestamptz,                       -- null: held until its task has an outcome
    primary key (scope, key)
);
create index idempotency_expires on pgflow.idempotency (expires_at) where expires_at is not null;

-- Runs that are paused: what becomes ready in one of them is parked instead.
create table pgflow.paused_run (
    root_id      bigint      primary key,
    since        timestamptz not null,
    actor        text
);

-- What a running task tells of itself; the last word counts.
create table pgflow.progress (
    root_id      bigint      not null,
    task_id      bigint      not null,
    state        jsonb,
    fraction     float8      check (fraction between 0 and 1),
    note         text,
    at           timestamptz not null,
    primary key (root_id, task_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- What workflows are: a version is written once and never changed.
create table pgflow.definition (
    name         text        not null collate "C" check (name <> ''),
    version      integer     not null check (version > 0),
    kind         text        not null check (kind in ('code', 'graph')),
    checksum     bytea       not null,
    document     jsonb       not null,
    created_at   timestamptz not null,
    actor        text,
    primary key (name, version)
);
