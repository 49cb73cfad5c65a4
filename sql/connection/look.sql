-- Guarantees: at most so many rows of a query, each as the text of a record; done by the reader role.
-- Index: none, because whoever asks chooses what is read.
select pgflow.look(%(query)s::text, %(types)s::oid[], %(arguments)s::text[], %(most)s::integer)
