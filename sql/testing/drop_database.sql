-- Guarantees: there is no database of this name, whoever was still connected to it.
-- Index: none, because it touches no table.
drop database if exists {name} with (force)
