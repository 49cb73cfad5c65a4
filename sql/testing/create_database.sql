-- Guarantees: there is a database of this name, as the template was. Its files are copied, which leaves no WAL: ten
-- megabytes of it for each test were half of what the test cost.
-- Index: none, because it touches no table.
create database {name} template {template} strategy file_copy
