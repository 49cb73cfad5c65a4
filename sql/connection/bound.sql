-- Guarantees: for the rest of this transaction no statement takes longer, and it is not left open; on a connection of
-- its own to somebody's database, which need not be the engine's.
-- Index: none, because it reads nothing.
select set_config('statement_timeout', %(milliseconds)s::text, true),
       set_config('idle_in_transaction_session_timeout', %(milliseconds)s::text, true)
