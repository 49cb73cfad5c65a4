-- Guarantees: a seq that no transaction yet to take one can undercut. First of three, in this order, each a statement
-- of its own: last_seq, own_xid, oldest_xid.
-- Index: none, because it reads no table.
select last_value from pgflow.ready_seq_seq
