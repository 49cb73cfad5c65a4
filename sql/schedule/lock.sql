-- Guarantees: the schedule of that name, if there is one, stays as it is until the transaction ends. Returns its revision.
-- Index: schedule_name_key.
select s.revision from pgflow.schedule s where s.name = %(name)s::text for update
