-- Guarantees: nothing is left of what this session has set, made for itself, prepared, listened to or locked. Outside of
-- transactions.
-- Index: none, because it reads nothing.
discard all
