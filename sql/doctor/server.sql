-- Guarantees: who answered, and the settings on which durability and clean-up depend.
-- Index: none (catalog).
select current_setting('server_version') as version, pg_backend_pid() as backend_pid, current_database()::text as database,
       current_user::text as username, pg_postmaster_start_time() as started_at,
       extract(epoch from clock_timestamp())::float8 as clock, pg_is_in_recovery() as in_recovery,
       current_setting('transaction_read_only')::boolean as read_only,
       current_setting('fsync')::boolean as fsync, current_setting('full_page_writes')::boolean as full_page_writes,
       current_setting('synchronous_commit') as synchronous_commit,
       current_setting('autovacuum')::boolean as autovacuum, current_setting('track_counts')::boolean as track_counts,
       current_setting('max_connections')::integer as max_connections,
       (select sum(numbackends)::integer from pg_stat_database) as connections,
       (select age(datfrozenxid) from pg_database where datname = current_database()) as frozen_age
