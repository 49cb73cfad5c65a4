-- Guarantees: no task was given a larger id before this was asked.
-- Index: none, because it reads a sequence.
select last_value from pgflow.task_id_seq
