-- Guarantees: says whether a relation of that name exists, without an error when its schema does not.
-- Index: none (catalog).
select to_regclass(%(name)s::text) is not null
