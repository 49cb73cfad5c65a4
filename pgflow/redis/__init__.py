"""What Redis (or Valkey) does for pgflow, where there is one: locks and pub/sub. Nothing durable is ever in it.

* Redlock (`redlock`, `guard`): who asks for a task with a key holds a lock of that key while the request is under way,
  so that duplicates queue at Redis instead of at Postgres. The primary key of `pgflow.idempotency` decides, always.
* Pub/sub (`pubsub`): one reader of the event table tells every process that has somebody watching.

No answer depends on Redis. Down, hung, full, flushed in the middle of a request: what is asked for happens all the same
and costs at most one time-out (`node.TIMEOUT`) in `breaker.OPEN` seconds and process; the breaker keeps the rest away.
Nothing here ever raises because of Redis.
"""

from __future__ import annotations
