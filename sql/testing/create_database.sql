-- Guarantees: there is a database of this name, as the template was.
-- Index: none, because it touches no table.
create database {name} template {template}
