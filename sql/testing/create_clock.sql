-- Guarantees: there is one row that says how far this database's test clock is ahead, for every session to see.
-- Index: none, because there is one row.
do $$
begin
    create table if not exists pgflow.test_clock as select interval '0' as ahead;
    grant select on pgflow.test_clock to public;
end
$$
