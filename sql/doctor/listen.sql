-- Guarantees: this session hears what is sent to the doctor's channel, if notifications can reach it at all.
-- Index: none, because it reads no table.
listen "pgflow.doctor"
