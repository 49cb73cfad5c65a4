-- Guarantees: three group roles, named after the schema: owner (owns everything, may change it), worker (may run the
-- engine, but neither change tables nor rewrite history) and reader (may look, except at secrets, and owns
-- pgflow.look, within which nothing else can be done). Where the user may not create roles, nothing is done and
-- everything goes on under the user's own name. Safe to repeat.
-- Index: none (catalog).
do $$
declare
    home text := split_part('pgflow.task', '.', 1);
    owner text := home || '_owner';
    worker text := home || '_worker';
    reader text := home || '_reader';
    role text;
    item record;
begin
    foreach role in array array[owner, worker, reader] loop
        if not exists (select from pg_roles where rolname = role) then
            begin
                execute format('create role %I nologin', role);
            exception when duplicate_object or unique_violation then
                null;  -- roles belong to the whole server, and somebody migrating another database was first
            end;
        end if;
    end loop;
    if not pg_has_role(current_user, owner, 'usage') then
        execute format('grant %I to current_user', owner);
    end if;

    execute format('alter schema %I owner to %I', home, owner);
    for item in
        select c.oid::regclass as name from pg_class c
         where c.relnamespace = home::regnamespace and c.relkind in ('r', 'p', 'v')
           and pg_get_userbyid(c.relowner) <> owner
    loop
        execute format('alter table %s owner to %I', item.name, owner);
    end loop;
    for item in
        select c.oid::regclass as name from pg_class c
         where c.relnamespace = home::regnamespace and c.relkind = 'S' and pg_get_userbyid(c.relowner) <> owner
           and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i'))
    loop
        execute format('alter sequence %s owner to %I', item.name, owner);
    end loop;
    for item in
        select p.oid::regprocedure as name from pg_proc p
         where p.pronamespace = home::regnamespace and pg_get_userbyid(p.proowner) <> owner and p.proname <> 'look'
    loop
        execute format('alter function %s owner to %I', item.name, owner);
    end loop;

    execute format('grant usage on schema %I to %I, %I', home, worker, reader);
    execute format('grant select on all tables in schema %I to %I, %I', home, worker, reader);
    execute format('revoke select on %I.secret, %I.user, %I.token, %I.session from %I', home, home, home, home, reader);
    execute format('grant usage, select on all sequences in schema %I to %I', home, worker);
    execute format('revoke all on all functions in schema %I from public', home);
    execute format('grant execute on all functions in schema %I to %I', home, worker);
    execute format('grant execute on function %I.now(), %I.events_after(bigint, bigint, bigint, integer) to %I',
                   home, home, reader);
    execute format('grant insert on %I.task, %I.outcome, %I.event, %I.definition, %I.audit_entry to %I',
                   home, home, home, home, home, worker);
    -- Recording a step that is there already "updates" its key to what it is, to read the row another transaction is
    -- just committing; a trigger refuses any real change.
    execute format('grant update (key) on %I.event to %I', home, worker);
    foreach role in array array['ready', 'lease', 'delayed', 'inbox', 'throttled', 'parked', 'queue', 'lane', 'worker',
                                'idle', 'cancellation', 'leader', 'idempotency', 'partition', 'limit', 'turn',
                                'newcomer', 'paused_run', 'progress', 'schedule', 'firing', 'trigger', 'emission',
                                'awaited', 'subscription', 'secret', 'approval', 'draft', 'user',
                                'token', 'session'] loop
        execute format('grant insert, update, delete on %I.%I to %I', home, role, worker);
    end loop;

    -- Queries of others are done within a function of the reader's. Whoever migrates has to be in that role, too; as the
    -- owner may read all that a reader may, it becomes one.
    begin
        if not pg_has_role(owner, reader, 'usage') then
            begin
                execute format('grant %I to %I', reader, owner);
            exception when unique_violation then
                null;  -- somebody migrating another database was first
            end;
        end if;
        for item in
            select p.oid::regprocedure as name from pg_proc p
             where p.pronamespace = home::regnamespace and pg_get_userbyid(p.proowner) <> reader and p.proname = 'look'
        loop
            execute format('grant create on schema %I to %I', home, reader);
            execute format('alter function %s owner to %I', item.name, reader);
            execute format('revoke create on schema %I from %I', home, reader);
        end loop;
    exception
        when insufficient_privilege then
            raise notice '%.look was left alone, so that sql nodes may not look at the engine: %', home, sqlerrm;
    end;
exception
    when insufficient_privilege then
        raise notice 'roles %, % and % were left alone: %', owner, worker, reader, sqlerrm;
end
$$
