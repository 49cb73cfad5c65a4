-- Guarantees: whatever is throttled is somebody's turn again, whatever went wrong: slots with throttled tasks wait, none
-- counts as filled until it is looked at again. Returns every queue that has something throttled, limited or not.
-- Index: throttled_turn, turn_pkey; read whole, every few seconds while there is work.
with waiting as materialized (
    select distinct queue, slot from pgflow.throttled
), healed as (
    insert into pgflow.newcomer (queue, slot) select w.queue, w.slot from waiting w
     where exists (select from pgflow.limit l where l.queue = w.queue)
       and not exists (select from pgflow.turn t where t.queue = w.queue and t.slot = w.slot and t.waiting)
), opened as (
    update pgflow.turn t set filled = false where t.ctid = any(array(
        select ctid from pgflow.turn where filled for update skip locked))
), forgotten as (
    delete from pgflow.turn t where t.ctid = any(array(
        select t.ctid from pgflow.turn t join pgflow.limit l on l.queue = t.queue
         where not t.waiting and not t.filled and t.turn <= l.turn
           and (t.arrives_at is null or t.arrives_at < (select pgflow.now()))
         limit 1000 for update of t skip locked))
)
select distinct queue from waiting
