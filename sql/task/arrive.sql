-- Guarantees: a signal reaches the inbox of each of these tasks, and wakes those for which it is the arrival they
-- lacked. (Arrivals of finished children are part of the statement that writes the outcome.)
-- Index: inbox_pkey.
select pgflow.arrive(%(tasks)s::bigint[], null, array_fill(1, array[cardinality(%(tasks)s::bigint[])]), null, null,
                     null, null)
