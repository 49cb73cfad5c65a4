-- Guarantees: for the rest of this transaction only what a member of the reader role may do is done, if this user may
-- take its place; else all goes on under the user's own name. A query can take that off again: see pgflow.look.
-- Index: none (catalog).
select set_config('role', r.rolname, true) from pg_roles r
 where r.rolname = split_part('pgflow.task', '.', 1) || '_reader' and pg_has_role(current_user, r.oid, 'member')
