-- Guarantees: the queue is limited no more; what it had throttled goes at the next admissions. Returns a row if it was.
-- Index: limit_pkey, turn_pkey.
with lifted as (
    delete from pgflow.limit where queue = %(queue)s::text returning queue
), forgotten as (
    delete from pgflow.turn where queue = %(queue)s::text
)
select queue from lifted
